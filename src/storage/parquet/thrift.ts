/** Thrift's compact protocol, as far as the metadata of a Parquet file needs it, and to be written only. */

/** Types of fields, as they stand in the protocol. */
const TRUE = 1;
const FALSE = 2;
const BYTE = 3;
const I16 = 4;
const I32 = 5;
const I64 = 6;
const BINARY = 8;
const LIST = 9;
const STRUCT = 12;
/** From this number of items on a list's length stands in bytes of its own. */
const LONG_LIST = 15;
const LONG_STEP = 15;

const utf8 = new TextEncoder();

/** What an item of a list is written with. */
export type ItemType = "i32" | "binary" | "struct";

const ITEM_TYPES: Readonly<Record<ItemType, number>> = { i32: I32, binary: BINARY, struct: STRUCT };

/**
 * Writes structs: fields in ascending order, each by its number in
 * {@link https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift}.
 */
export class ThriftWriter {
  #bytes = new Uint8Array(1024);
  #length = 0;
  /** Number of the field before, of each struct that is open. */
  readonly #before: number[] = [0];

  /** What was written. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  i16(field: number, value: number): void {
    this.#field(field, I16);
    this.#zigzag(value);
  }

  i32(field: number, value: number): void {
    this.#field(field, I32);
    this.#zigzag(value);
  }

  i64(field: number, value: number): void {
    this.#field(field, I64);
    this.#zigzag(value);
  }

  byte(field: number, value: number): void {
    this.#field(field, BYTE);
    this.#byte(value);
  }

  bool(field: number, value: boolean): void {
    this.#field(field, value ? TRUE : FALSE);
  }

  binary(field: number, value: string | Uint8Array): void {
    this.#field(field, BINARY);
    this.#binary(value);
  }

  /** A struct within this one. */
  struct(field: number, write: () => void): void {
    this.#field(field, STRUCT);
    this.#inside(write);
  }

  /** A struct without fields: what a union needs to say which of its members it is. */
  empty(field: number): void {
    this.struct(field, () => undefined);
  }

  structs<T>(field: number, items: readonly T[], write: (item: T) => void): void {
    this.#list(field, "struct", items.length);
    for (const item of items) this.#inside(() => write(item));
  }

  i32s(field: number, items: readonly number[]): void {
    this.#list(field, "i32", items.length);
    for (const item of items) this.#zigzag(item);
  }

  binaries(field: number, items: readonly string[]): void {
    this.#list(field, "binary", items.length);
    for (const item of items) this.#binary(item);
  }

  /** Ends the outermost struct. */
  end(): Uint8Array {
    this.#byte(0);
    return this.bytes;
  }

  #inside(write: () => void): void {
    this.#before.push(0);
    write();
    this.#byte(0);
    this.#before.pop();
  }

  #list(field: number, type: ItemType, length: number): void {
    this.#field(field, LIST);
    if (length < LONG_LIST) {
      this.#byte((length << 4) | ITEM_TYPES[type]);
      return;
    }
    this.#byte((LONG_LIST << 4) | ITEM_TYPES[type]);
    this.#varint(length);
  }

  #field(field: number, type: number): void {
    const open = this.#before.length - 1;
    const step = field - this.#before[open];
    this.#before[open] = field;
    if (step > 0 && step <= LONG_STEP) {
      this.#byte((step << 4) | type);
      return;
    }
    this.#byte(type);
    this.#zigzag(field);
  }

  #binary(value: string | Uint8Array): void {
    const bytes = typeof value === "string" ? utf8.encode(value) : value;
    this.#varint(bytes.length);
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** A whole number of at most 52 bits, for it is doubled. */
  #zigzag(value: number): void {
    this.#varint(value < 0 ? -2 * value - 1 : 2 * value);
  }

  #varint(value: number): void {
    let rest = value;
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) this.#byte((rest % 0x80) | 0x80);
    this.#byte(rest);
  }

  #byte(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#bytes.length) return;
    const larger = new Uint8Array(2 * needed);
    larger.set(this.bytes);
    this.#bytes = larger;
  }
}
