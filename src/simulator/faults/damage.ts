/** What can be wrong with a frame. Each function takes a good one and a random sequence. */
import type { Random } from "../random.ts";

/** What stands where a byte is no UTF-8. */
const NO_UTF8 = 0xff;
const TRIES = 20;

/** Without its end. */
export function cutShort(text: string, random: Random): string {
  return text.slice(0, 1 + random.below(Math.max(1, text.length - 1)));
}

/** As long as it was or one shorter, and no JSON. */
export function damaged(text: string, random: Random): string {
  for (let i = 0; i < TRIES; i++) {
    const at = random.below(text.length);
    const candidate =
      random.unit() < 0.5
        ? text.slice(0, at) + text.slice(at + 1)
        : `${text.slice(0, at)}\u0000${text.slice(at + 1)}`;
    if (!isJson(candidate)) return candidate;
  }
  return text.slice(0, -1);
}

/** The same with a field more, which no decoder knows, at the beginning of its payload or at its very end. */
export function withField(text: string, random: Random): string {
  const field = `"simulated":{"since":${random.below(1e9)},"notes":["new","\\u00e9\\"",null,-1.5e-3,true]}`;
  const inner = /"data":\[?\{/.exec(text);
  const start = inner === null ? 1 : inner.index + inner[0].length;
  if (random.unit() < 0.5) return `${text.slice(0, start)}${field},${text.slice(start)}`;
  return `${text.slice(0, -1)},${field}}`;
}

/** The same with a field of so many bytes more. */
export function padded(text: string, bytes: number): string {
  return `${text.slice(0, -1)},"padding":"${"x".repeat(bytes)}"}`;
}

/** A frame of no stream, of so many bytes. */
export function noise(bytes: number): string {
  const shell = '{"simulated":""}';
  return `{"simulated":"${"x".repeat(Math.max(0, bytes - shell.length))}"}`;
}

/** Its bytes, one of which is no UTF-8. */
export function invalidUtf8(text: string, random: Random): Uint8Array {
  const bytes = Buffer.from(text);
  bytes[random.below(bytes.length)] = NO_UTF8;
  return bytes;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
