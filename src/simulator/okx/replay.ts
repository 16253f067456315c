/** Captured OKX v5 frames: which channel each belongs to, and which instruments they tell of. */
import { z } from "zod";
import type { Connection } from "../connection.ts";
import { unitText } from "../decimals.ts";
import type { Topic } from "../faults/gate.ts";
import type { Captured, ReplayProtocol, ReplaySink } from "../replay-protocol.ts";
import { ARG, channelOf, type Route, routeOf, topicOf } from "./channels.ts";
import { OkxDialect, upgradeNotice } from "./dialect.ts";

const EVENT = z.looseObject({ event: z.string() });
const FRAME = z.looseObject({ arg: ARG, data: z.array(z.unknown()) });
/** The fields of an entry by which it tells of its instrument. */
const ENTRY = z.looseObject({
  instId: z.string().optional(),
  ts: z.string().optional(),
  px: z.string().optional(),
  sz: z.string().optional(),
});
const LISTED = z.looseObject({ instId: z.string().min(1), instType: z.string() });
const FRACTION = /^\d+\.(\d+)$/;
const DELIVERY = /^\d{6}$/;

/** What the frames of one instrument showed of it. */
interface Seen {
  firstMs: string;
  priceDecimals: number;
  amountDecimals: number;
}

/** One replay of OKX v5. */
export class OkxReplay implements ReplayProtocol {
  readonly #seen = new Map<string, Seen>();
  /** Entries of captured `instruments` frames: they know more than any other frame. */
  readonly #listed = new Map<string, z.infer<typeof LISTED>>();
  /** Instruments that other frames tell of: they were recorded, whatever became of them later. */
  readonly #live = new Set<string>();

  read(raw: string): Captured {
    if (raw === "pong") return { kind: "control" };
    const json = parse(raw);
    if (EVENT.safeParse(json).success) return { kind: "control" };
    const frame = FRAME.safeParse(json);
    const channel = frame.success ? channelOf(frame.data.arg) : undefined;
    return channel === undefined
      ? { kind: "unknown" }
      : { kind: "frame", streams: [channel], text: () => raw };
  }

  learn(raw: string): void {
    const frame = FRAME.safeParse(parse(raw));
    if (!frame.success) return;
    const { arg, data } = frame.data;
    // An index has the same id as a spot pair and is no instrument.
    if (arg.channel === "index-tickers") return;
    for (const item of data) {
      const listed = LISTED.safeParse(item);
      if (arg.channel === "instruments" && listed.success) this.#listed.set(listed.data.instId, listed.data);
      const entry = ENTRY.safeParse(item);
      if (!entry.success) continue;
      const instId = entry.data.instId ?? arg.instId ?? "";
      if (arg.channel !== "instruments") this.#live.add(instId);
      this.#learnEntry(instId, entry.data);
    }
  }

  routeOf(channel: string): Route | undefined {
    return routeOf(channel);
  }

  topic(channel: string): Topic | undefined {
    return topicOf(channel);
  }

  notice(connection: Connection): string {
    return upgradeNotice(connection);
  }

  /** Every id of a captured session may be subscribed. */
  dialect(sink: ReplaySink, stats: () => unknown): OkxDialect {
    return new OkxDialect({
      instruments: (type) => this.instruments(type),
      exists: () => true,
      sink,
      stats,
      refuses: (connection, channel) => sink.refuses(connection, channel),
    });
  }

  /** Entries of the list of instruments of a type, in the order of their first frame. */
  instruments(type: string): object[] {
    return [...this.#seen]
      .filter(([instId]) => typeOf(instId) === type)
      .map(([instId, seen]) => {
        const entry = this.#listed.get(instId) ?? guessed(instId, seen);
        return this.#live.has(instId) ? { ...entry, state: "live" } : entry;
      });
  }

  #learnEntry(instId: string, { ts, px, sz }: z.infer<typeof ENTRY>): void {
    if (instId === "") return;
    let seen = this.#seen.get(instId);
    if (seen === undefined) {
      seen = { firstMs: ts ?? "", priceDecimals: 0, amountDecimals: 0 };
      this.#seen.set(instId, seen);
    }
    seen.priceDecimals = Math.max(seen.priceDecimals, decimals(px));
    seen.amountDecimals = Math.max(seen.amountDecimals, decimals(sz));
  }
}

function typeOf(instId: string): string {
  const [, , third, ...more] = instId.split("-");
  if (third === undefined) return "SPOT";
  if (third === "SWAP") return "SWAP";
  return DELIVERY.test(third) && more.length === 0 ? "FUTURES" : "OPTION";
}

/** What an id tells of its instrument. Worth of a contract: unknown, so empty. */
function guessed(instId: string, { firstMs, priceDecimals, amountDecimals }: Seen): object {
  const [base = "", quote = ""] = instId.split("-");
  const type = typeOf(instId);
  const inverse = quote === "USD";
  const spot = type === "SPOT";
  return {
    baseCcy: spot ? base : "",
    ctMult: "",
    ctType: spot ? "" : inverse ? "inverse" : "linear",
    ctVal: "",
    ctValCcy: spot ? "" : inverse ? "USD" : base,
    expTime: "",
    instFamily: spot ? "" : `${base}-${quote}`,
    instId,
    instType: type,
    listTime: firstMs,
    lotSz: unitText(amountDecimals),
    minSz: unitText(amountDecimals),
    quoteCcy: spot ? quote : "",
    settleCcy: spot ? "" : inverse ? base : quote,
    state: "live",
    tickSz: unitText(priceDecimals),
    uly: spot ? "" : `${base}-${quote}`,
  };
}

function decimals(text: string | undefined): number {
  return FRACTION.exec(text ?? "")?.[1]?.length ?? 0;
}

function parse(raw: string): unknown {
  try {
    return JSON.parse(raw);
  } catch {
    return undefined;
  }
}
