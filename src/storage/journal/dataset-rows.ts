import type { DatasetRow } from "../dataset-segment.ts";
import { journalDatasetRows, RECORD } from "./format.ts";
import { JournalReader, parsePayload } from "./reader.ts";

/**
 * The rows in the journal of a dataset, in order.
 *
 * @throws JournalError where it is none
 */
export function datasetRowsOf(path: string): readonly DatasetRow[] {
  using reader = JournalReader.open(path);
  const rows: DatasetRow[] = [];
  for (const record of reader.records()) {
    if (record.head.type === RECORD.datasetRows)
      rows.push(...parsePayload(journalDatasetRows, record, "rows").rows);
  }
  return rows;
}
