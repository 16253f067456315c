/** Walks over the fields of JSON and changes one at a time, to see who reads them. */

/** Where a field stands: keys, and numbers of elements. */
export type Path = readonly (string | number)[];

/** Every field that holds no other. */
export function* leavesOf(value: unknown, path: Path = []): Generator<Path> {
  if (typeof value !== "object" || value === null) yield path;
  else if (Array.isArray(value)) for (const [i, item] of value.entries()) yield* leavesOf(item, [...path, i]);
  else for (const [key, item] of Object.entries(value)) yield* leavesOf(item, [...path, key]);
}

/** The value at a path; undefined when there is none. */
export function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (at, key) => (typeof at === "object" && at !== null ? Reflect.get(at, key) : undefined),
    value,
  );
}

/** A copy in which the field at `path` is `to`. */
export function withField(value: unknown, path: Path, to: unknown): unknown {
  const copy: unknown = structuredClone(value);
  const holder = valueAt(copy, path.slice(0, -1));
  const key = path.at(-1);
  if (typeof holder === "object" && holder !== null && key !== undefined) Reflect.set(holder, key, to);
  return copy;
}

/** Words of which a field may hold another as well. */
const WORDS = [
  ["Buy", "Sell"],
  ["BUY", "SELL"],
  ["buy", "sell"],
  ["long", "short"],
];

/** Values that a field could hold as well as the one it does; a reader of the field gives another row for one. */
export function othersOf(value: unknown): unknown[] {
  if (typeof value === "boolean") return [!value];
  if (typeof value === "number") return [value + 7];
  if (typeof value !== "string") return ["1"];
  const words = WORDS.find((list) => list.includes(value));
  if (words !== undefined) return words.filter((word) => word !== value);
  if (/^-?[\d.]+$/.test(value))
    return [value === "1" ? "0" : "1", value.replace(/\d/, (d) => String(9 - Number(d)))];
  return [value === "" ? "1790000000001" : `${value}X`, "1"];
}
