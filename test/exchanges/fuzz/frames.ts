/** Makes frames of an exchange's shapes: as it sends them, and with things wrong with them. */
import type { Random } from "../../../src/simulator/random.ts";
import { pick } from "../../lib/seed.ts";
import { BYTES, type Mutations } from "./mutations.ts";
import { type Node, objectsOf, write } from "./nodes.ts";

/** What one exchange's frames look like. */
export interface FrameMakerOptions<Hot extends string, Cold extends string> {
  /** Shapes that have a scanner. */
  readonly hot: readonly Hot[];
  /** Shapes that have none; one frame of `coldOneIn` is of these. */
  readonly cold: readonly Cold[];
  readonly coldOneIn: number;
  /** Instruments that a closed table knows, and some that it does not. */
  readonly known: readonly string[];
  readonly unknown: readonly string[];
  /** What can be wrong with a frame before it is written; what can be wrong with its bytes comes on top. */
  readonly mutations: Mutations;
  /** A frame as the exchange sends it, for one of these instruments. */
  make(random: Random, shape: Hot | Cold, instruments: readonly string[]): Node;
}

/** A frame, and what was done to it. */
export interface MutatedFrame {
  readonly frame: Uint8Array;
  readonly mutations: readonly string[];
}

/** Makes frames of one exchange. */
export interface FrameMaker<Shape extends string> {
  /** Names of everything that can be done to a frame. */
  readonly mutations: readonly string[];
  /** A frame exactly as the exchange sends it. */
  plain(random: Random, shape: Shape): Uint8Array;
  /** A frame with up to three things wrong with it (sometimes none). */
  mutated(random: Random): MutatedFrame;
}

const encoder = new TextEncoder();

/** See the head of the file. */
export function frameMaker<Hot extends string, Cold extends string>({
  hot,
  cold,
  coldOneIn,
  known,
  unknown,
  mutations: structural,
  make,
}: FrameMakerOptions<Hot, Cold>): FrameMaker<Hot | Cold> {
  const names = [...Object.keys(structural), "spaced", ...Object.keys(BYTES)];
  return {
    mutations: names,
    plain: (random, shape) => encoder.encode(write(make(random, shape, known))),
    mutated(random) {
      const shape = random.below(coldOneIn) > 0 ? pick(random, hot) : pick(random, cold);
      const instruments = random.below(6) === 0 ? unknown : known;
      let node = make(random, shape, instruments);
      const mutations: string[] = [];
      for (let i = random.below(4); i > 0; i--) mutations.push(pick(random, names));
      let spaced = false;
      for (const name of mutations) {
        if (name === "spaced") spaced = true;
        else if (objectsOf(node).length > 0) node = structural[name]?.(random, node) ?? node;
      }
      const space = () =>
        spaced && random.below(4) === 0 ? pick(random, [" ", "  ", "\t", "\n", "\r"]) : "";
      let frame: Uint8Array = encoder.encode(write(node, space));
      for (const name of mutations) if (frame.length > 0) frame = BYTES[name]?.(random, frame) ?? frame;
      return { frame, mutations };
    },
  };
}
