/** A captured frame as one line of JSON: what `decode` and `replay` read. */

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** What a line says of a frame. */
export interface CapturedFrame {
  /** Receive time, whole µs. */
  readonly ts: number;
  readonly exchange: string;
  /** Number of the connection within the run. */
  readonly connection: number;
  readonly frame: Uint8Array;
}

/**
 * The line of a frame that came in, with its line end.
 *
 * `{"ts":1795170600871123,"dir":"in","exchange":"binance","connection":3,"raw":"{\"stream\":…}"}`
 *
 * A frame that is not UTF-8 stands as base64 in `raw_base64` instead of `raw`, since JSON has no bytes.
 *
 * @param extra further keys, between the fixed ones and the frame
 */
export function capturedLine(
  { ts, exchange, connection, frame }: CapturedFrame,
  extra: Readonly<Record<string, string>> = {},
): string {
  const head = { ts, dir: "in", exchange, connection, ...extra };
  let raw: string;
  try {
    raw = utf8.decode(frame);
  } catch {
    return `${JSON.stringify({ ...head, raw_base64: Buffer.from(frame).toString("base64") })}\n`;
  }
  return `${JSON.stringify({ ...head, raw })}\n`;
}
