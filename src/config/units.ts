/** Durations and sizes as people write them, and back. Exact: nothing is rounded on the way. */

/** Milliseconds per unit of a duration, small to large. */
const DURATION_UNITS: readonly (readonly [string, number])[] = [
  ["ms", 1],
  ["s", 1_000],
  ["m", 60_000],
  ["h", 3_600_000],
  ["d", 86_400_000],
];

/** Bytes per unit of a size; binary units first, so that they win where both are equally short. */
const SIZE_UNITS: readonly (readonly [string, number])[] = [
  ["KiB", 1024],
  ["MiB", 1024 ** 2],
  ["GiB", 1024 ** 3],
  ["TiB", 1024 ** 4],
  ["B", 1],
  ["KB", 1000],
  ["MB", 1000 ** 2],
  ["GB", 1000 ** 3],
  ["TB", 1000 ** 4],
];

/**
 * Reads a duration: `500ms`, `30s`, `1.5s`, `5m`, `2h`, `1d`; a bare number is seconds.
 *
 * @returns whole milliseconds; undefined when it is no duration or not a whole number of milliseconds.
 */
export function parseDuration(text: string): number | undefined {
  const parts = /^(\d{1,15})(?:\.(\d{1,9}))?\s*(ms|s|m|h|d)?$/i.exec(text.trim());
  return parts ? scaled(parts, unitFactor(DURATION_UNITS, parts[3] ?? "s")) : undefined;
}

/**
 * Reads a size: `64MiB`, `256MB`, `1GiB`, `512KiB`, `100B`; a bare number is bytes. The case of the unit
 * does not matter; `M` or `Mb` alone are refused, as nobody knows which of the two units they mean.
 *
 * @returns whole bytes; undefined when it is no size or not a whole number of bytes.
 */
export function parseSize(text: string): number | undefined {
  const parts = /^(\d{1,15})(?:\.(\d{1,9}))?\s*([KMGT]iB|[KMGT]B|B)?$/i.exec(text.trim());
  if (!parts || /^[KMGT]b$/.test(parts[3] ?? "")) return undefined;
  return scaled(parts, unitFactor(SIZE_UNITS, parts[3] ?? "B"));
}

/** Writes milliseconds as the shortest text that {@link parseDuration} reads back to the same number. */
export function formatDuration(ms: number): string {
  return shortest(ms, DURATION_UNITS, "ms");
}

/** Writes bytes as the shortest text that {@link parseSize} reads back to the same number. */
export function formatSize(bytes: number): string {
  return shortest(bytes, SIZE_UNITS, "B");
}

function unitFactor(units: readonly (readonly [string, number])[], name: string): number {
  const unit = units.find(([known]) => known.toLowerCase() === name.toLowerCase());
  return unit ? unit[1] : Number.NaN;
}

/** Integer arithmetic on the digits, since 1.005 × 1000 is 1004.9999999999999 in floating point. */
function scaled(parts: RegExpExecArray, factor: number): number | undefined {
  const fraction = (parts[2] ?? "").replace(/0+$/, "");
  const exact = BigInt(parts[1] + fraction) * BigInt(factor);
  const divisor = 10n ** BigInt(fraction.length);
  const value = Number(exact / divisor);
  return exact % divisor === 0n && Number.isSafeInteger(value) ? value : undefined;
}

function shortest(value: number, units: readonly (readonly [string, number])[], base: string): string {
  let best = `${value}${base}`;
  if (value === 0) return best;
  // A larger unit always has the shorter number, so on equal length the later unit must not win.
  for (const [name, factor] of units) {
    const text = `${value / factor}${name}`;
    if (value % factor === 0 && (text.length < best.length || (text.length === best.length && factor > 1))) {
      best = text;
    }
  }
  return best;
}
