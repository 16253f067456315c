/**
 * The source text of the parts of a JSON text. JSON.parse keeps neither the digits of an integer above 2^53 nor how a
 * number was written (0.10, 1e5), nor keys that come twice: what is to be kept as it came is cut out of the text.
 */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/**
 * The source of each element of a list that stands in objects under these keys: `["result", "list"]` for
 * `{"result":{"list":[{"a":0.10}, 5]}}`, which gives `{"a":0.10}` and `5`. Of a key that comes twice the last one
 * counts, as with JSON.parse.
 *
 * @param text what JSON.parse has accepted: it is walked over, not validated, and no deeper than to the list
 * @returns null when there is no list, or when the text is not what it should be
 */
export function elementSources(text: string, keys: readonly string[]): string[] | null {
  const cursor = new Cursor(text);
  cursor.space();
  for (const key of keys) if (!cursor.enter(key)) return null;
  return cursor.elements();
}

/** Both halves of a character beyond 16 bits; or else an escape, of half a character in a group. */
const ESCAPE = /\\u[dD][89abAB]..\\u[dD][c-fC-F]|\\(?:(u[dD][89a-fA-F])|.)/g;

/**
 * Whether every `\uD83D` in a JSON text has its other half right behind it. Half a character is JSON for JSON.parse, and
 * for no reader that makes UTF-8 of it: DuckDB refuses the whole text, and with it the file that it stands in.
 *
 * @param text what JSON.parse has accepted
 */
export function surrogatesPaired(text: string): boolean {
  if (!text.isWellFormed()) return false;
  if (!text.includes("\\u")) return true;
  for (const [, half] of text.matchAll(ESCAPE)) if (half !== undefined) return false;
  return true;
}

/** Walks over a JSON text. What it meets and cannot be JSON makes a method answer false or null. */
class Cursor {
  #at = 0;

  constructor(readonly text: string) {}

  /** Passes blanks. */
  space(): void {
    for (;;) {
      const code = this.text.charCodeAt(this.#at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.#at++;
    }
  }

  /** From the begin of an object to that of the value of a key in it. */
  enter(wanted: string): boolean {
    if (!this.#pass(OPEN_OBJECT)) return false;
    let found: number | null = null;
    this.space();
    if (this.#pass(CLOSE_OBJECT)) return false;
    do {
      this.space();
      const key = this.#key();
      this.space();
      if (key === null || !this.#pass(COLON)) return false;
      this.space();
      if (key === wanted) found = this.#at;
      if (!this.#value()) return false;
      this.space();
    } while (this.#pass(COMMA));
    if (found === null || !this.#pass(CLOSE_OBJECT)) return false;
    this.#at = found;
    return true;
  }

  /** The elements of the list that begins here. */
  elements(): string[] | null {
    if (!this.#pass(OPEN_LIST)) return null;
    const sources: string[] = [];
    this.space();
    if (this.#pass(CLOSE_LIST)) return sources;
    do {
      this.space();
      const from = this.#at;
      if (!this.#value()) return null;
      sources.push(this.text.slice(from, this.#at));
      this.space();
    } while (this.#pass(COMMA));
    return this.#pass(CLOSE_LIST) ? sources : null;
  }

  #pass(code: number): boolean {
    if (this.text.charCodeAt(this.#at) !== code) return false;
    this.#at++;
    return true;
  }

  /** Passes a key and reads it: it may be written with escapes. */
  #key(): string | null {
    const from = this.#at;
    if (!this.#string()) return null;
    const source = this.text.slice(from, this.#at);
    if (!source.includes("\\")) return source.slice(1, -1);
    try {
      return String(JSON.parse(source));
    } catch {
      return null;
    }
  }

  /** Passes a string. A quote ends it unless an odd number of backslashes stands before it. */
  #string(): boolean {
    const { text } = this;
    const from = this.#at;
    if (text.charCodeAt(from) !== QUOTE) return false;
    for (let end = text.indexOf('"', from + 1); end !== -1; end = text.indexOf('"', end + 1)) {
      let before = end;
      while (text.charCodeAt(before - 1) === BACKSLASH) before--;
      if ((end - before) % 2 === 1) continue;
      this.#at = end + 1;
      return true;
    }
    return false;
  }

  /** Passes a value, as deep as it may be nested. */
  #value(): boolean {
    const { text } = this;
    const from = this.#at;
    let depth = 0;
    while (this.#at < text.length) {
      const code = text.charCodeAt(this.#at);
      if (code === QUOTE) {
        if (!this.#string()) return false;
        if (depth === 0) return true;
        continue;
      }
      const closes = code === CLOSE_OBJECT || code === CLOSE_LIST;
      // Behind a number or a word.
      if (depth === 0 && (closes || code === COMMA || code <= 0x20)) break;
      this.#at++;
      if (code === OPEN_OBJECT || code === OPEN_LIST) depth++;
      else if (closes && --depth === 0) return true;
    }
    return depth === 0 && this.#at > from;
  }
}
