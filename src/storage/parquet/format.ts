/** Words of the Parquet format (parquet.thrift), and what a file of ours is made of. */

/** Rows of a row group: DuckDB's own number, which readers scan in parallel. A multiple of 8. */
export const ROW_GROUP_ROWS = 122_880;
/**
 * Most rows of a page of numbers: 128 KiB of doubles, which stay in the processor's cache from gathering to compression,
 * and of which zstd makes less, in less time, than of longer ones. A multiple of 8.
 */
export const PAGE_ROWS = 16_384;

/** First and last bytes of a file. */
export const MAGIC = "PAR1";

/** Physical types. */
export const PHYSICAL = { boolean: 0, int32: 1, int64: 2, double: 5, bytes: 6 } as const;
/** A physical type. */
export type Physical = (typeof PHYSICAL)[keyof typeof PHYSICAL];

/** Encodings of values. */
export const ENCODING = { plain: 0, rle: 3, delta: 5, dictionary: 8 } as const;
/** An encoding. */
export type Encoding = (typeof ENCODING)[keyof typeof ENCODING];

/** Kinds of page. */
export const PAGE = { data: 0, dictionary: 2 } as const;
/** Compression of pages: zstd. */
export const CODEC_ZSTD = 6;
/** A column may hold NULL. */
export const OPTIONAL = 1;

/** What was written of one column of a row group. */
export interface ChunkFacts {
  readonly name: string;
  readonly physical: Physical;
  readonly encodings: readonly Encoding[];
  readonly rows: number;
  /** Offset in the file; null = there is no dictionary. */
  readonly dictionaryAt: number | null;
  readonly dataAt: number;
  /** Bytes with the heads of pages. */
  readonly uncompressed: number;
  readonly compressed: number;
  readonly statistics: Statistics;
}

/** What is known of the values of a chunk. */
export interface Statistics {
  readonly nulls: number;
  /** Least and greatest value, spelled as plain values are; null = there is none, or it is not known. */
  readonly min: Uint8Array | null;
  readonly max: Uint8Array | null;
}

/** What was written of a row group. */
export interface RowGroupFacts {
  readonly rows: number;
  readonly chunks: readonly ChunkFacts[];
}

/** Version of the format: 2, for differences are newer than 1. */
export const FORMAT_VERSION = 2;
/** Level of zstd: the next ones take a third more time, for 1 to 2 % less room. */
export const CODEC_LEVEL = 1;
