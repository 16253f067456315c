/** How runs, lake keys and files are called. */
import { SCHEMA_VERSION } from "../events/streams.ts";
import { dateOf } from "../lib/days.ts";

export { dateOf, dayOf, dayStart } from "../lib/days.ts";

const LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789";

/** Identity of one life of the recorder: `<instance>-<start µs>-<4 random>`. */
export function newRun(instance: string, startUs: number): string {
  const random = crypto.getRandomValues(new Uint8Array(4));
  const suffix = Array.from(random, (byte) => LETTERS[byte % LETTERS.length]).join("");
  return `${instance}-${startUs}-${suffix}`;
}

/** What identifies a segment and its file. */
export interface SegmentKey {
  readonly run: string;
  readonly ring: number;
  /** Number of the segment within its ring, from 0. */
  readonly n: number;
}

/** Key of a segment's file below a lake's prefix. */
export function lakeKey(options: {
  exchange: string;
  stream: string;
  firstLocal: number;
  key: SegmentKey;
}): string {
  const { exchange, stream, firstLocal, key } = options;
  const file = `${firstLocal}_${key.run}_${key.ring}_${key.n}.parquet`;
  return `${SCHEMA_VERSION}/exchange=${exchange}/stream=${stream}/date=${dateOf(firstLocal)}/${file}`;
}

/** Name of a lake key in the flat outbox, so that the place of a file outlives the process. */
export function outboxName(key: string): string {
  return key.replaceAll("/", "~");
}

/** The lake key of an outbox file. */
export function keyOfOutboxName(name: string): string {
  return name.replaceAll("~", "/");
}
