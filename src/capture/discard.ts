import { LAYOUTS } from "../events/layout.ts";
import { STREAM_NAMES, type Stream } from "../events/streams.ts";
import type { RowWriter } from "../exchanges/decoding/decoder.ts";
import { Row } from "../ring/row.ts";

/** Writers that take every row and keep none: frames are decoded only to see whether they can be. */
export function discardingWriters(): Partial<Record<Stream, RowWriter>> {
  const writers: Partial<Record<Stream, RowWriter>> = {};
  for (const stream of STREAM_NAMES) {
    const { numbers, texts } = LAYOUTS[stream];
    const nothing = () => undefined;
    writers[stream] = {
      row: new Row(numbers.length, texts.length),
      commit: () => true,
      mark: nothing,
      rewind: nothing,
    };
  }
  return writers;
}
