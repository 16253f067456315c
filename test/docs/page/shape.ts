/** Compares what a page shows with what a command printed: the words have to be there, figures and widths may differ. */

const FIGURE = /^[<+-]?\d[\d.,:]*$/;
const ANY_FIGURE = "[<+-]?\\d[\\d.,:]*";
const UNIT = /^(?:µs|ms|s|min|h|B|KiB|MiB|GiB)$/;
/** A duration or a size may come in another unit, in two of them, or be unknown. */
const ANY_QUANTITY = `(?:${ANY_FIGURE}\\s(?:µs|ms|s|min|h|B|KiB|MiB|GiB)(?:\\s\\d+\\s(?:s|min|h))?|–)`;
const RULE = /^[─┄━═-]{2,}$/;

const literally = (text: string) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");

/** A word in which figures may differ, and `…` stands for anything. */
function wordShape(word: string): string {
  if (RULE.test(word)) return "[─┄━═-]+";
  return word
    .split(/(…|[<+-]?\d[\d.,:]*)/)
    .map((part) => (part === "…" ? ".*" : FIGURE.test(part) ? ANY_FIGURE : literally(part)))
    .join("");
}

/** A line of a page as a pattern for lines of output. */
export function shapeOf(shown: string): RegExp {
  const words = shown.trim().split(/\s+/);
  const patterns: string[] = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? "";
    if (FIGURE.test(word) && UNIT.test(words[at + 1] ?? "")) {
      patterns.push(ANY_QUANTITY);
      at++;
    } else patterns.push(wordShape(word));
  }
  return new RegExp(`^\\s*${patterns.join("\\s+")}\\s*$`);
}

/** The first line of a page that the output does not have behind those before it; null = all are there. */
export function missingLine(shown: readonly string[], output: string): string | null {
  const lines = output.split("\n");
  let at = 0;
  for (const line of shown) {
    if (line.trim() === "…") continue;
    const shape = shapeOf(line);
    const found = lines.findIndex((printed, index) => index >= at && shape.test(printed));
    if (found === -1) return line;
    at = found + 1;
  }
  return null;
}
