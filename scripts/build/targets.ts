/** Platforms an executable can be built for, and where its foreign parts come from. */
import { existsSync } from "node:fs";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const ROOT = join(import.meta.dir, "../..");

/** Platforms by the name in `dist/tapedeck-<os>-<arch>`, with the names others have for them. */
export const TARGETS = {
  "linux-x64": { os: "linux", cpu: "x64", compile: "bun-linux-x64", runtime: "bun-linux-x64" },
  "linux-arm64": { os: "linux", cpu: "arm64", compile: "bun-linux-arm64", runtime: "bun-linux-aarch64" },
  "darwin-x64": { os: "darwin", cpu: "x64", compile: "bun-darwin-x64", runtime: "bun-darwin-x64" },
  "darwin-arm64": { os: "darwin", cpu: "arm64", compile: "bun-darwin-arm64", runtime: "bun-darwin-aarch64" },
} as const;

/** A platform's name. */
export type Target = keyof typeof TARGETS;

/** The platform this runs on. */
export const HOST = `${process.platform}-${process.arch}`;

/** Whether the text is the name of a platform. */
export function isTarget(text: string): text is Target {
  return Object.hasOwn(TARGETS, text);
}

/** What a platform's executable is made with. */
export interface Parts {
  /** Folder of the package that holds DuckDB's native parts. */
  readonly native: string;
  /** The Bun executable to build upon; undefined = the one that runs. */
  readonly runtime?: string;
}

/**
 * Calls `use` with the platform's parts. Those of other platforms are installed by Bun into a folder of their own for that
 * time: the versions of bun.lock, and checked by its checksums.
 *
 * @throws Error when they cannot be had
 */
export async function withParts<T>(target: Target, use: (parts: Parts) => Promise<T>): Promise<T> {
  const packageName = `@duckdb/node-bindings-${target}`;
  if (target === HOST) return use({ native: nativeFolder(join(ROOT, "node_modules"), packageName) });
  const folder = await mkdtemp(join(tmpdir(), "tapedeck-build-"));
  try {
    for (const name of ["package.json", "bun.lock", "bunfig.toml"])
      await cp(join(ROOT, name), join(folder, name));
    const { os, cpu, runtime } = TARGETS[target];
    const install = Bun.spawnSync(
      [process.execPath, "install", "--frozen-lockfile", "--ignore-scripts", "--os", os, "--cpu", cpu],
      { cwd: folder },
    );
    if (install.exitCode !== 0)
      throw new Error(`the packages of ${target} cannot be had:\n${install.stderr}`);
    const modules = join(folder, "node_modules");
    return await use({
      native: nativeFolder(modules, packageName),
      runtime: join(modules, "@oven", runtime, "bin/bun"),
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function nativeFolder(modules: string, packageName: string): string {
  const folder = join(modules, packageName);
  if (existsSync(folder)) return folder;
  throw new Error(
    `${packageName} is not installed: bun.lock names only the platforms whose packages the registry had when it was written. ` +
      "Where it has this one, delete the entries of @duckdb from bun.lock, run bun install, and commit what it pins",
  );
}
