/** HTML as values: whatever is put into a template is escaped, unless it is markup itself. */

/** Text that is HTML already. Only {@link html} makes it. */
export class Markup {
  constructor(readonly text: string) {}
}

/** What may stand in a template; null = nothing. */
export type Content = string | number | Markup | readonly Markup[] | null;

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
  // Rendered pages have no line breaks, so that each is one line of an event stream.
  "\n": "&#10;",
  "\r": "&#13;",
};
/** What would end a text or a quoted attribute value, or a line; and what HTML forbids. */
const SPECIAL = /[&<>"'\n\r]|\p{Cc}/gu;

function escapeText(text: string): string {
  // A lone half of a surrogate pair cannot be sent as UTF-8.
  return text.toWellFormed().replace(SPECIAL, (character) => ESCAPES[character] ?? "\ufffd");
}

function textOf(content: Content): string {
  if (content === null) return "";
  if (content instanceof Markup) return content.text;
  if (typeof content === "number" || typeof content === "string") return escapeText(String(content));
  let text = "";
  for (const part of content) text += part.text;
  return text;
}

/** The fixed parts of a template without its line breaks and indentation, made once for each place in the source. */
const tightened = new WeakMap<TemplateStringsArray, readonly string[]>();

function tight(strings: TemplateStringsArray): readonly string[] {
  let parts = tightened.get(strings);
  if (parts === undefined) {
    parts = strings.map((part) => part.replace(/\s*\n\s*/g, ""));
    if (strings.some((part) => /<[^>]*\n[^<]*>/.test(part)))
      throw new Error(`a line break within a tag: ${parts[0]}`);
    tightened.set(strings, parts);
  }
  return parts;
}

/**
 * A template: `` html`<td title="${anything}">${anything}</td>` ``. Attribute values have to stand in quotes.
 *
 * Line breaks of the source, with the blanks around them, are left out, so none may stand within a tag.
 */
export function html(strings: TemplateStringsArray, ...values: readonly Content[]): Markup {
  const parts = tight(strings);
  let text = parts[0] ?? "";
  for (const [index, value] of values.entries()) text += textOf(value) + (parts[index + 1] ?? "");
  return new Markup(text);
}
