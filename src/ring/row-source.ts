/** Records that can be copied out column by column: a ring from its tail on, or a record of a journal. */
export interface RowSource {
  /** Memory in which the columns lie. */
  readonly buffer: ArrayBufferLike;
  /** Byte at which a numeric column begins. */
  numberOffset(column: number): number;
  /** Byte at which a piece of a text begins. */
  textOffset(text: number, piece: number): number;
  /** Value of a numeric column, `offset` records after the first. */
  number(column: number, offset: number): number;
}
