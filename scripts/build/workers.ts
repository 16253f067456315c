/** Workers inside an executable. */
import { join, relative } from "node:path";
import { type BunPlugin, Glob } from "bun";

const SOURCES = join(import.meta.dir, "../../src");

/** How a worker is started in the sources, which is how Bun understands it when it runs them; not in a comment. */
const ADDRESS = /(?<!`)new Worker\(new URL\("(\.[^"]+\.ts)", import\.meta\.url\)\)/g;

/** Every module of src/ that is started as a worker. */
export async function workerModules(): Promise<readonly string[]> {
  const found = new Set<string>();
  for await (const file of new Glob("**/*.ts").scan(SOURCES)) {
    const path = join(SOURCES, file);
    for (const [, target = ""] of (await Bun.file(path).text()).matchAll(ADDRESS)) {
      found.add(join(path, "..", target));
    }
  }
  return [...found].sort();
}

/**
 * Has each worker found where the executable has it.
 *
 * In an executable all modules of a bundle have the address of its entry point, so addresses relative to the module that
 * starts a worker lead nowhere. Every one of them has to be an entry point: {@link workerModules}.
 */
export function workerAddresses(): BunPlugin {
  return {
    name: "worker addresses",
    setup(build) {
      build.onLoad({ filter: /[\\/]src[\\/].*\.ts$/ }, async ({ path }) => {
        if (!path.startsWith(SOURCES)) return undefined;
        const source = await Bun.file(path).text();
        if (source.search(ADDRESS) < 0) return undefined;
        const contents = source.replace(ADDRESS, (_, target: string) => {
          const entry = relative(SOURCES, join(path, "..", target)).replace(/\.ts$/, ".js");
          return `new Worker(new URL(${JSON.stringify(`./${entry}`)}, import.meta.url))`;
        });
        return { contents, loader: "ts" };
      });
    },
  };
}
