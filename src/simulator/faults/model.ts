/** Faults as they are asked for, over HTTP, in-process or from the command line: checked here, and only here. */
import { z } from "zod";

const MS_MAX = 7 * 86_400_000;
const HUGE_BYTES = 10_000_000;
const HUGE_BYTES_MAX = 64_000_000;
const CONNECTIONS_MAX = 1000;

const ms = z.number().nonnegative().max(MS_MAX);
const span = z.number().positive().max(MS_MAX);
const share = z.number().positive().max(1);
const name = z.string().min(1).max(100);
const number = z.int().positive();
const CLOSE_CODE = z
  .int()
  .refine((code) => code === 1000 || code === 1001 || code === 1006 || (code >= 1008 && code <= 4999), {
    error: "a close code is wanted: 1000, 1001, 1008 to 4999, or 1006 = no close frame at all",
  });

/** When it begins, counted from its injection, and how long it lasts; without `forMs` until it is ended. */
const WHEN = { afterMs: ms.default(0), forMs: span.optional() };
/** Whom it meets: all connections, one by the seed, or those of these numbers. */
const WHOM = {
  connections: z
    .union([z.enum(["all", "one"]), number, z.array(number).min(1).max(CONNECTIONS_MAX)], {
      error: '"all", "one", a number or a list of numbers of connections is wanted',
    })
    .default("all"),
};
/** Narrowed to a symbol, in the exchange's own spelling ("one" = by the seed), and to a kind of stream. */
const WHAT = { symbol: name.optional(), stream: name.optional() };
/** How often it strikes, and after how many frames it ends by itself. */
const often = (byDefault: number) => ({ share: share.default(byDefault), count: number.optional() });
/** Whether the connections that are open are cut when it begins, so that they have to come back into it. */
const cut = (byDefault: boolean) => ({ cut: z.boolean().default(byDefault) });
/** HTTP answers: to whom, and when to come back. */
const http = (retryAfterS: number) => ({
  ...WHEN,
  ...cut(true),
  on: z.enum(["both", "upgrade", "rest"]).default("both"),
  retryAfterS: z.int().nonnegative().max(86_400).default(retryAfterS),
});

const KINDS = [
  z.strictObject({ kind: z.literal("refuse"), ...WHEN, ...cut(true), forMs: span }),
  z.strictObject({ kind: z.literal("unavailable"), ...http(1) }),
  z.strictObject({ kind: z.literal("429"), ...http(5) }),
  z.strictObject({ kind: z.literal("418"), ...http(30) }),
  z.strictObject({ kind: z.literal("hang"), ...WHEN, ...cut(true) }),
  z.strictObject({
    kind: z.literal("accept-then-close"),
    ...WHEN,
    ...cut(true),
    code: CLOSE_CODE.default(1000),
    reason: z.string().max(100).default(""),
    afterOpenMs: ms.default(0),
  }),
  z.strictObject({
    kind: z.literal("close"),
    ...WHOM,
    afterMs: ms.default(0),
    code: CLOSE_CODE.default(1000),
    reason: z.string().max(100).default(""),
  }),
  z.strictObject({ kind: z.literal("half-open"), ...WHEN, ...WHOM }),
  z.strictObject({ kind: z.literal("pings-only"), ...WHEN, ...WHOM, pingEveryMs: span.default(1000) }),
  z.strictObject({
    kind: z.literal("silence"),
    ...WHEN,
    ...WHOM,
    ...WHAT,
    sticky: z.boolean().default(false),
  }),
  z.strictObject({ kind: z.literal("wrong-route"), ...WHEN, ...WHOM, ...WHAT, ...cut(false) }),
  z.strictObject({ kind: z.literal("drip"), ...WHEN, ...WHOM, share: share.default(0.82) }),
  z.strictObject({
    kind: z.literal("missing-ack"),
    ...WHEN,
    ...WHOM,
    ...WHAT,
    ...cut(false),
    lost: z.enum(["ack", "request"]).default("ack"),
    count: number.optional(),
  }),
  z.strictObject({
    kind: z.literal("bad-topic"),
    ...WHEN,
    ...WHOM,
    ...WHAT,
    ...cut(false),
    symbol: name.default("one"),
  }),
  z.strictObject({ kind: z.literal("duplicates"), ...WHEN, ...WHOM, ...WHAT, ...often(0.1) }),
  z.strictObject({ kind: z.literal("reorder"), ...WHEN, ...WHOM, ...WHAT, ...often(0.1) }),
  z.strictObject({
    kind: z.literal("malformed"),
    ...WHEN,
    ...WHOM,
    ...WHAT,
    ...often(0.01),
    how: z.enum(["cut", "damaged"]).default("cut"),
    instead: z.boolean().default(true),
  }),
  z.strictObject({
    kind: z.literal("huge"),
    ...WHEN,
    ...WHOM,
    ...WHAT,
    ...often(1),
    count: number.default(1),
    how: z.enum(["noise", "padded"]).default("noise"),
    bytes: z.int().min(1000).max(HUGE_BYTES_MAX).default(HUGE_BYTES),
  }),
  z.strictObject({ kind: z.literal("unknown-fields"), ...WHEN, ...WHOM, ...WHAT, ...often(1) }),
  z.strictObject({
    kind: z.literal("invalid-utf8"),
    ...WHEN,
    ...WHOM,
    ...WHAT,
    ...often(0.01),
    as: z.enum(["binary", "text"]).default("binary"),
    instead: z.boolean().default(true),
  }),
  z.strictObject({ kind: z.literal("maintenance"), ...WHEN, noticeMs: ms.default(1000) }),
  z.strictObject({
    kind: z.literal("clock-step"),
    ...WHEN,
    byMs: z
      .int()
      .min(-MS_MAX)
      .max(MS_MAX)
      .refine((by) => by !== 0, { error: "a step of 0 is none" }),
  }),
  z.strictObject({ kind: z.literal("list"), afterMs: ms.default(0) }),
  z.strictObject({ kind: z.literal("delist"), afterMs: ms.default(0), symbol: name.default("one") }),
] as const;

const FAULT = z.discriminatedUnion("kind", KINDS);

/** A fault, complete. Times in ms; docs/simulator.md tells what each does. */
export type Fault = z.output<typeof FAULT>;
/** A fault as it is asked for: all but its kind may be left out (`forMs` of "refuse" may not). */
export type FaultInput = z.input<typeof FAULT>;
/** What a fault may be. */
export type FaultKind = Fault["kind"];
/** A fault of one kind. */
export type FaultOf<Kind extends FaultKind> = Extract<Fault, { kind: Kind }>;

/** All kinds. */
export const FAULT_KINDS: readonly FaultKind[] = KINDS.map(({ shape }) => shape.kind.value);
/** The fields that a kind knows. */
export const FAULT_FIELDS: ReadonlyMap<FaultKind, readonly string[]> = new Map(
  KINDS.map(({ shape }) => [shape.kind.value, Object.keys(shape).filter((key) => key !== "kind")]),
);

/** A fault that cannot be. The message names its field. */
export class FaultError extends Error {
  override readonly name = "FaultError";
  /** The field that is wrong, "" where it is the whole. */
  readonly field: string;

  constructor(field: string, why: string) {
    super(field === "" ? why : `${field}: ${why}`);
    this.field = field;
  }
}

/** Checks a fault and fills in what was left out. @throws FaultError which names the field. */
export function parseFault(value: unknown): Fault {
  const parsed = FAULT.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const field = issue?.path.join(".") ?? "";
  if (issue?.code === "invalid_union" && field === "kind") {
    throw new FaultError("kind", `one of ${FAULT_KINDS.join(", ")} is wanted`);
  }
  if (issue?.code === "unrecognized_keys") {
    const [key = ""] = issue.keys;
    const kind = FAULT_KINDS.find((known) => known === (value as { kind?: unknown }).kind);
    const known = kind === undefined ? [] : (FAULT_FIELDS.get(kind) ?? []);
    throw new FaultError(key, `${kind ?? "this fault"} has no such field; it has ${known.join(", ")}`);
  }
  throw new FaultError(field, issue?.message ?? "this is no fault");
}
