/** JSON as a tree of raw tokens: what JSON.stringify would never write can be written with it. */
import type { Random } from "../../../src/simulator/random.ts";
import { pick } from "../../lib/seed.ts";

/** Keys, written as they stand, without quotes, with values. */
export type ObjectNode = { entries: [string, Node][] };
/** A token as it stands on the wire, a list, or an object. */
export type Node = string | Node[] | ObjectNode;

/** An object; null = an entry that is not there. */
export function obj(entries: readonly (readonly [string, Node] | null)[]): ObjectNode {
  return { entries: entries.filter((entry) => entry !== null).map(([key, node]) => [key, node]) };
}

/** A string token, quoted and escaped as JSON.stringify does. */
export function quoted(text: string): string {
  return JSON.stringify(text);
}

/** Writes a tree; `space` gives what stands between two tokens. */
export function write(node: Node, space: () => string = () => ""): string {
  if (typeof node === "string") return node;
  if (Array.isArray(node)) {
    const items = node.map((item) => space() + write(item, space) + space());
    return `[${items.join(",")}]`;
  }
  const parts = node.entries.map(
    ([key, value]) => `${space()}"${key}"${space()}:${space()}${write(value, space)}${space()}`,
  );
  return `{${parts.join(",")}}`;
}

/** A copy that can be changed. */
export function copy(node: Node): Node {
  if (typeof node === "string") return node;
  if (Array.isArray(node)) return node.map(copy);
  return { entries: node.entries.map(([key, value]): [string, Node] => [key, copy(value)]) };
}

/** All objects of a tree that have entries. */
export function objectsOf(node: Node): ObjectNode[] {
  if (typeof node === "string") return [];
  if (Array.isArray(node)) return node.flatMap(objectsOf);
  const below = node.entries.flatMap(([, value]) => objectsOf(value));
  return node.entries.length > 0 ? [node, ...below] : below;
}

/** All lists of a tree. */
export function listsOf(node: Node): Node[][] {
  if (typeof node === "string") return [];
  if (Array.isArray(node)) return [node, ...node.flatMap(listsOf)];
  return node.entries.flatMap(([, value]) => listsOf(value));
}

/** One entry of a random object of a tree; null if there is none. */
export function randomEntry(random: Random, node: Node): [string, Node] | null {
  const objects = objectsOf(node);
  return objects.length === 0 ? null : pick(random, pick(random, objects).entries);
}
