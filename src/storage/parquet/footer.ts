/** The footer of a Parquet file: FileMetaData of parquet.thrift. */
import type { ParquetType } from "../../events/columns.ts";
import type { FileColumn } from "./columns.ts";
import {
  type ChunkFacts,
  CODEC_ZSTD,
  FORMAT_VERSION,
  OPTIONAL,
  type RowGroupFacts,
  type Statistics,
} from "./format.ts";
import { ThriftWriter } from "./thrift.ts";

/** ConvertedType: what older readers go by. */
const CONVERTED: Readonly<Partial<Record<ParquetType, number>>> = {
  VARCHAR: 0,
  TIMESTAMPTZ: 10,
  SMALLINT: 16,
  INTEGER: 17,
  BIGINT: 18,
};
/** Bits of whole numbers. */
const INTEGER_BITS: Readonly<Partial<Record<ParquetType, number>>> = {
  SMALLINT: 16,
  INTEGER: 32,
  BIGINT: 64,
};

/** Writes it. @param metadata key-value pairs, in their order */
export function footerOf(
  columns: readonly FileColumn[],
  groups: readonly RowGroupFacts[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const thrift = new ThriftWriter();
  thrift.i32(1, FORMAT_VERSION);
  thrift.structs(2, [null, ...columns], (column) => {
    if (column === null) {
      thrift.binary(4, "schema");
      thrift.i32(5, columns.length);
    } else {
      writeColumn(thrift, column);
    }
  });
  thrift.i64(
    3,
    groups.reduce((sum, { rows }) => sum + rows, 0),
  );
  thrift.structs(4, groups, (group) => writeGroup(thrift, group, groups.indexOf(group)));
  thrift.structs(5, Object.entries(metadata), ([name, value]) => {
    thrift.binary(1, name);
    thrift.binary(2, value);
  });
  thrift.binary(6, `tapedeck version ${metadata.tapedeck_version ?? "0.0.0"}`);
  // Ranges of values are by the order of their type: without this readers must not believe them.
  thrift.structs(7, columns, () => thrift.empty(1));
  return thrift.end();
}

function writeColumn(thrift: ThriftWriter, { column, physical }: FileColumn): void {
  const { name, type } = column;
  const converted = CONVERTED[type];
  const bits = INTEGER_BITS[type];
  thrift.i32(1, physical);
  thrift.i32(3, OPTIONAL);
  thrift.binary(4, name);
  if (converted !== undefined) thrift.i32(6, converted);
  if (type === "VARCHAR") thrift.struct(10, () => thrift.empty(1));
  else if (type === "TIMESTAMPTZ") {
    thrift.struct(10, () =>
      thrift.struct(8, () => {
        // Adjusted to UTC, in microseconds.
        thrift.bool(1, true);
        thrift.struct(2, () => thrift.empty(2));
      }),
    );
  } else if (bits !== undefined) {
    thrift.struct(10, () =>
      thrift.struct(10, () => {
        thrift.byte(1, bits);
        thrift.bool(2, true);
      }),
    );
  }
}

function writeGroup(thrift: ThriftWriter, { rows, chunks }: RowGroupFacts, ordinal: number): void {
  const sum = (bytes: (chunk: ChunkFacts) => number) => chunks.reduce((all, chunk) => all + bytes(chunk), 0);
  thrift.structs(1, chunks, (chunk) => {
    thrift.i64(2, 0);
    thrift.struct(3, () => writeChunk(thrift, chunk));
  });
  thrift.i64(
    2,
    sum(({ uncompressed }) => uncompressed),
  );
  thrift.i64(3, rows);
  const [first] = chunks;
  if (first !== undefined) thrift.i64(5, first.dictionaryAt ?? first.dataAt);
  thrift.i64(
    6,
    sum(({ compressed }) => compressed),
  );
  thrift.i16(7, ordinal);
}

function writeChunk(thrift: ThriftWriter, chunk: ChunkFacts): void {
  thrift.i32(1, chunk.physical);
  thrift.i32s(2, chunk.encodings);
  thrift.binaries(3, [chunk.name]);
  thrift.i32(4, CODEC_ZSTD);
  thrift.i64(5, chunk.rows);
  thrift.i64(6, chunk.uncompressed);
  thrift.i64(7, chunk.compressed);
  thrift.i64(9, chunk.dataAt);
  if (chunk.dictionaryAt !== null) thrift.i64(11, chunk.dictionaryAt);
  thrift.struct(12, () => writeStatistics(thrift, chunk.statistics));
}

function writeStatistics(thrift: ThriftWriter, { nulls, min, max }: Statistics): void {
  thrift.i64(3, nulls);
  if (max !== null) thrift.binary(5, max);
  if (min !== null) thrift.binary(6, min);
  // Exact: neither is cut off.
  if (max !== null) thrift.bool(7, true);
  if (min !== null) thrift.bool(8, true);
}
