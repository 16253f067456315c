/** DuckDB's native parts inside an executable. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { BunPlugin } from "bun";

const ROOT = join(import.meta.dir, "../..");
/** The module that says what an executable carries. */
const EMBEDDED = join(ROOT, "src/lib/native/embedded.ts");
const LOADER = join(ROOT, "src/lib/native/load.ts");

/** The addon and the library that it loads from beside itself, the addon first. */
async function partsOf(folder: string): Promise<readonly string[]> {
  const names = (await readdir(folder)).filter((name) => /\.(node|so|dylib)$/.test(name)).sort();
  const addon = names.findIndex((name) => name.endsWith(".node"));
  if (addon !== 0 || names.length !== 2) {
    throw new Error(`${folder} has ${names.join(", ") || "nothing"} instead of an addon and its library`);
  }
  return names;
}

/** Source of the module that takes the place of src/lib/native/embedded.ts. */
async function embeddedModule(folder: string, commit: string): Promise<string> {
  const { version } = (await Bun.file(join(folder, "package.json")).json()) as { version: string };
  const imports: string[] = [];
  const parts: string[] = [];
  for (const [i, name] of (await partsOf(folder)).entries()) {
    const path = join(folder, name);
    const content = await Bun.file(path).bytes();
    const sha256 = new Bun.CryptoHasher("sha256").update(content).digest("hex");
    imports.push(`import part${i} from ${JSON.stringify(path)} with { type: "file" };`);
    parts.push(`{ ...${JSON.stringify({ name, bytes: content.length, sha256 })}, path: part${i} }`);
  }
  const known = JSON.stringify({ commit, nativeVersion: version });
  return `${imports.join("\n")}\nexport const EMBEDDED = { ...${known}, parts: [${parts.join(", ")}] };\n`;
}

/**
 * Embeds the parts that lie in `folder`, and has `@duckdb/node-bindings` load them from where the executable puts them.
 *
 * The package itself picks its platform at run time, so a bundler would have to have all platforms.
 */
export function nativeParts(folder: string, commit: string): BunPlugin {
  return {
    name: "native parts",
    setup(build) {
      build.onLoad({ filter: /[\\/]src[\\/]lib[\\/]native[\\/]embedded\.ts$/ }, async ({ path }) => {
        if (path !== EMBEDDED) return undefined;
        return { contents: await embeddedModule(folder, commit), loader: "ts" };
      });
      build.onResolve({ filter: /^@duckdb\/node-bindings$/ }, () => ({
        path: "duckdb",
        namespace: "native",
      }));
      build.onLoad({ filter: /^duckdb$/, namespace: "native" }, () => ({
        // CommonJS: which names the addon exports only it knows.
        contents: [
          `const { EMBEDDED } = require(${JSON.stringify(EMBEDDED)});`,
          `const { loadNative } = require(${JSON.stringify(LOADER)});`,
          "module.exports = loadNative(EMBEDDED);",
        ].join("\n"),
        loader: "js",
      }));
    },
  };
}
