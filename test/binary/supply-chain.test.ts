import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { isTarget, TARGETS } from "../../scripts/build/targets.ts";
import { workerModules } from "../../scripts/build/workers.ts";
import { licences, licencesPage, notices } from "../../scripts/licences.ts";
import { checksums, releaseSbom } from "../../scripts/release.ts";
import { scratchFolder } from "../helpers/scratch.ts";

const ROOT = join(import.meta.dir, "../..");
const read = (path: string) => Bun.file(join(ROOT, path)).text();
const folder = scratchFolder("supply-chain");

/** What may be given on with an MIT program, in whole or as parts, without further conditions than naming it. */
const PERMISSIVE = ["MIT", "ISC", "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "MIT OR Apache-2.0"];

describe("dependencies", () => {
  test("run no install scripts: the list of trusted ones is there and empty", async () => {
    // Without the list Bun trusts some packages by itself.
    expect(await Bun.file(join(ROOT, "package.json")).json()).toHaveProperty("trustedDependencies", []);
    expect(await read("bunfig.toml")).not.toMatch(/trustedDependencies|ignoreScripts\s*=\s*false/);
  });

  test("none of them stands in the way of the Bun that runs", async () => {
    // Scripts look in node_modules/.bin first: the package `bun`, installed without its script, is a placeholder there.
    expect(existsSync(join(ROOT, "node_modules/.bin/bun"))).toBe(false);
    const lock = z
      .looseObject({ packages: z.record(z.string(), z.unknown()) })
      .parse(Bun.JSONC.parse(await read("bun.lock")));
    expect(Object.keys(lock.packages)).not.toContain("bun");
  });

  test("are pinned exactly, and the lock has a checksum for each", async () => {
    const manifest = z
      .looseObject({
        dependencies: z.record(z.string(), z.string()),
        devDependencies: z.record(z.string(), z.string()),
      })
      .parse(await Bun.file(join(ROOT, "package.json")).json());
    const versions = { ...manifest.dependencies, ...manifest.devDependencies };
    for (const version of Object.values(versions)) expect(version).toMatch(/^\d+\.\d+\.\d+(-[\w.]+)?$/);
    const lock = z
      .looseObject({ packages: z.record(z.string(), z.array(z.unknown())) })
      .parse(Bun.JSONC.parse(await read("bun.lock")));
    for (const [name, entry] of Object.entries(lock.packages)) {
      expect([name, entry.at(-1)]).toEqual([name, expect.stringMatching(/^sha512-[\w+/]{86}==$/)]);
    }
    expect(await read("package.json")).toContain('"setup": "bun install --frozen-lockfile');
  });

  test("have licences that allow what we do; docs/licences.md is current", async () => {
    for (const { name, licence, shipped } of await licences()) {
      if (shipped)
        expect([name, PERMISSIVE.includes(licence) ? "permissive" : licence]).toEqual([name, "permissive"]);
    }
    expect(await read("docs/licences.md")).toBe(await licencesPage());
  });

  test("that are shipped have their licence's text in the notices", async () => {
    const text = await notices();
    expect(text).toContain("@duckdb/node-api");
    expect(text.split("-".repeat(80)).length).toBeGreaterThan(25);
  });
});

describe("a release", () => {
  test("has an SBOM of the runtime and of every shipped package", async () => {
    const { components, bomFormat } = z
      .looseObject({
        bomFormat: z.string(),
        components: z.array(z.looseObject({ name: z.string(), version: z.string() })),
      })
      .parse(await releaseSbom());
    expect(bomFormat).toBe("CycloneDX");
    const shipped = (await licences()).filter((one) => one.shipped);
    const ids = (list: readonly { name: string; version: string }[]) =>
      list.map(({ name, version }) => `${name}@${version}`);
    expect(ids(components).sort()).toEqual([...ids(shipped), `bun@${Bun.version}`].sort());
  });

  test("has checksums that sha256sum accepts, and refuses for another file", async () => {
    mkdirSync(join(folder, "dist"));
    writeFileSync(join(folder, "dist/a"), "a");
    writeFileSync(join(folder, "dist/b"), Buffer.alloc(3_000_000, "b"));
    const sums = await checksums(join(folder, "dist"));
    expect(sums).toContain("ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb  a\n");
    writeFileSync(join(folder, "dist/SHA256SUMS"), sums);
    expect(await checksums(join(folder, "dist"))).toBe(sums);
    writeFileSync(join(folder, "dist/b"), Buffer.alloc(3_000_000, "c"));
    expect(await checksums(join(folder, "dist"))).not.toBe(sums);
  });

  test("knows its version in the changelog", async () => {
    const { version } = await Bun.file(join(ROOT, "package.json")).json();
    expect(await read("CHANGELOG.md")).toContain(`\n## ${version}`);
  });
});

describe("a build", () => {
  test("takes in every worker that the sources start", async () => {
    const names = (await workerModules()).map((path) => path.slice(ROOT.length + 1));
    for (const room of ["capture", "ingest", "simulator", "storage"])
      expect(names).toContain(`src/${room}/worker.ts`);
  });

  test("knows the names of platforms", () => {
    expect(Object.keys(TARGETS).every(isTarget)).toBe(true);
    expect(["windows-x64", "constructor", ""].some(isTarget)).toBe(false);
  });

  test("of an unknown platform fails and says which there are", () => {
    const built = Bun.spawnSync([
      process.execPath,
      join(ROOT, "scripts/build.ts"),
      "--into",
      folder,
      "amiga",
    ]);
    expect(built.exitCode).toBe(1);
    expect(built.stderr.toString()).toContain(
      "amiga is none of linux-x64, linux-arm64, darwin-x64, darwin-arm64",
    );
  });
});
