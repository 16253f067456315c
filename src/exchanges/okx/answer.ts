import { isObject, parseFrame } from "../decoding/json.ts";
import type { Answer } from "../exchange.ts";
import { channelOf } from "./channels.ts";

/** `{"event":…}` frames by event: all of them answer us or speak about the connection. */
export const EVENTS: ReadonlySet<string> = new Set([
  "subscribe",
  "unsubscribe",
  "error",
  "notice",
  "login",
  "channel-conn-count",
  "channel-conn-count-error",
]);

/** Code of the notice that the service is upgraded in about 60 s. */
const SERVICE_UPGRADE = "64008";

/** `Wrong URL or channel:tickers,instId:NMR-USDT doesn't exist. Please use …`: the only place with a name. */
const NAMED = /channel:([^\s,]+),(?:instId|instType|instFamily|uly):(\S+) doesn't exist/;

const NOTHING: Answer = { id: null, channels: [], error: null };

/** Whether a frame, the bytes `from` to `to`, is the text `pong`, which is not JSON. */
export function isPong(data: Uint8Array, from: number, to: number): boolean {
  return (
    to - from === 4 &&
    data[from] === 0x70 &&
    data[from + 1] === 0x6f &&
    data[from + 2] === 0x6e &&
    data[from + 3] === 0x67
  );
}

/**
 * Reads an answer. There is one ack per arg:
 * `{"id":"7","event":"subscribe","arg":{"channel":"trades","instId":"BTC-USDT-SWAP"},"connId":"a4d3ae55"}`;
 * an error has no arg, so its channel is taken from the words where they name it:
 * `{"event":"error","msg":"Wrong URL or channel:tickers,instId:NMR-USDT doesn't exist. …","code":"60018",…}`.
 */
export function answerOf(frame: Uint8Array): Answer {
  if (isPong(frame, 0, frame.length)) return NOTHING;
  const fields = parseFrame(frame);
  if (!isObject(fields)) return { ...NOTHING, error: "an answer that is not an object" };
  const id = typeof fields.id === "string" && /^\d{1,15}$/.test(fields.id) ? Number(fields.id) : null;
  const words = `${String(fields.msg ?? "no message")} (code ${String(fields.code ?? "none")})`;
  switch (fields.event) {
    case "subscribe": {
      const channel = isObject(fields.arg) ? channelOf(fields.arg) : null;
      return { id, channels: channel === null ? [] : [channel], error: null };
    }
    case "error": {
      const [, channel, of] = NAMED.exec(String(fields.msg ?? "")) ?? [];
      return { id, channels: channel === undefined ? [] : [`${channel}:${of}`], error: words };
    }
    case "notice": {
      const upgrade = fields.code === SERVICE_UPGRADE;
      const error = upgrade
        ? `OKX upgrades its service and closes this connection in about 60 s: ${words}`
        : words;
      return { ...NOTHING, error, leaving: upgrade };
    }
    case "channel-conn-count-error":
      return {
        ...NOTHING,
        error: `too many connections for channel ${String(fields.channel)}: ${String(fields.connCount)}`,
      };
    // An unsubscription is not waited for; naming its channel could be taken for the ack of a later subscription.
    default:
      return NOTHING;
  }
}
