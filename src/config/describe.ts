/** Every setting of a schema as data: what `--help`, `config`, the environment and the docs list. */
import { z } from "zod";
import { envName, OPERATOR_NAMES } from "./env.ts";
import { type Kind, type LeafMeta, leafMeta } from "./leaf.ts";
import { settingsSchema } from "./schema.ts";

/** One leaf of the settings. */
export interface SettingDescription {
  /** Dotted path in tapedeck.toml: `status.port`. */
  readonly path: string;
  /** Its environment variable: `TAPEDECK_STATUS_PORT`. */
  readonly env: string;
  /** The name that operators know, where there is one: `STORAGE_BACKEND`. */
  readonly operatorName?: string;
  /** Its default as a user would write it, or what holds when it is absent. */
  readonly default: string;
  /** What it may be: `a whole number from 0 to 65535`. */
  readonly allowed: string;
  /** What it does. */
  readonly meaning: string;
  readonly kind: Kind;
  /** Never shown. */
  readonly secret: boolean;
}

/** Lists every leaf in the order of the schema. */
export function describeSettings(schema: z.core.$ZodType = settingsSchema): SettingDescription[] {
  return [...leavesOf(schema, "")].map(([path, leaf, meta]) => {
    const operatorName = Object.entries(OPERATOR_NAMES).find(([, target]) => target === path)?.[0];
    return {
      path,
      env: envName(path),
      ...(operatorName === undefined ? {} : { operatorName }),
      default: meta.defaultText ?? defaultOf(leaf),
      allowed: meta.allowed,
      meaning: meta.meaning,
      kind: meta.kind,
      secret: meta.secret ?? false,
    };
  });
}

function* leavesOf(schema: z.core.$ZodType, path: string): Generator<[string, z.core.$ZodType, LeafMeta]> {
  const meta = leafMeta.get(schema);
  if (meta !== undefined) {
    yield [path, schema, meta];
  } else if (schema instanceof z.ZodPrefault) {
    yield* leavesOf(schema.unwrap(), path);
  } else if (schema instanceof z.ZodObject) {
    for (const [key, child] of Object.entries<z.core.$ZodType>(schema.shape)) {
      yield* leavesOf(child, path === "" ? key : `${path}.${key}`);
    }
  } else {
    throw new Error(`${path} is neither a setting nor a section: build it with leaf.ts`);
  }
}

function defaultOf(leaf: z.core.$ZodType): string {
  const value = leaf instanceof z.ZodPrefault ? leaf.def.defaultValue : "";
  return Array.isArray(value) ? value.join(",") : String(value);
}
