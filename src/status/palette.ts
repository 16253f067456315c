/** Colours of log lines for people. */

/** What each part of a line looks like. */
export type Palette = Readonly<
  Record<"debug" | "info" | "warn" | "error" | "dim" | "strong", (text: string) => string>
>;

const plain = (text: string): string => text;
/** An SGR sequence around a text. */
const sgr = (code: number) => (text: string) => `\x1b[${code}m${text}\x1b[0m`;

/** No colours at all: for files, pipes and tests. */
export const colourless: Palette = {
  debug: plain,
  info: plain,
  warn: plain,
  error: plain,
  dim: plain,
  strong: plain,
};

/** Colours that are readable on dark and light grounds. */
export const coloured: Palette = {
  debug: sgr(2),
  info: sgr(32),
  warn: sgr(33),
  error: sgr(31),
  dim: sgr(2),
  strong: sgr(1),
};

/**
 * Colours on a terminal only, and never where NO_COLOR is set (no-color.org: to anything but the empty text) or
 * the terminal can show none.
 */
export function paletteFor(
  terminal: boolean,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Palette {
  const { NO_COLOR = "", TERM } = env;
  return terminal && NO_COLOR === "" && TERM !== "dumb" ? coloured : colourless;
}
