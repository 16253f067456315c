/**
 * Makes what is published with a version, in dist/: executables, SBOM (CycloneDX), licence texts, SHA256SUMS.
 *
 * `bun scripts/release.ts [--built] [--into DIR] [linux-x64 … | all]`; with `--built` the executables are there already.
 */
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import manifest from "../package.json" with { type: "json" };
import { HOST, isTarget, TARGETS } from "./build/targets.ts";
import { build } from "./build.ts";
import { notices } from "./licences.ts";
import { sbom } from "./sbom.ts";

const ROOT = join(import.meta.dir, "..");

/** The SBOM of an executable: the packages, and the runtime it is built upon. */
export async function releaseSbom(): Promise<object> {
  const document = await sbom();
  const known: unknown = "components" in document ? document.components : [];
  const bun = {
    type: "platform",
    "bom-ref": `pkg:github/oven-sh/bun@bun-v${Bun.version}`,
    name: "bun",
    version: Bun.version,
    purl: `pkg:github/oven-sh/bun@bun-v${Bun.version}`,
    licenses: [{ license: { id: "MIT" } }],
  };
  return { ...document, components: [bun, ...(Array.isArray(known) ? known : [])] };
}

/** SHA-256 of a file, hexadecimal; read in pieces. */
async function sha256(path: string): Promise<string> {
  const hasher = new Bun.CryptoHasher("sha256");
  for await (const piece of Bun.file(path).stream()) hasher.update(piece);
  return hasher.digest("hex");
}

/** The file that `sha256sum -c` reads, over everything else in the folder. */
export async function checksums(folder: string): Promise<string> {
  const names = (await readdir(folder)).filter((name) => name !== "SHA256SUMS").sort();
  const lines = await Promise.all(
    names.map(async (name) => `${await sha256(join(folder, name))}  ${name}\n`),
  );
  return lines.join("");
}

/** @throws Error when this state of the sources is not one to publish */
async function checkSources(): Promise<void> {
  const changelog = await Bun.file(join(ROOT, "CHANGELOG.md")).text();
  if (!changelog.includes(`\n## ${manifest.version}`)) {
    throw new Error(`CHANGELOG.md has no section "## ${manifest.version}": write it first`);
  }
  const { stdout } = Bun.spawnSync(["git", "status", "--porcelain", "--untracked-files=no"], { cwd: ROOT });
  if (stdout.length > 0) throw new Error(`the work tree has changes; commit them first:\n${stdout}`);
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({
    options: { built: { type: "boolean" }, into: { type: "string" } },
    allowPositionals: true,
  });
  const folder = values.into ?? join(ROOT, "dist");
  await mkdir(folder, { recursive: true });
  await checkSources();
  const wanted = positionals.includes("all") ? Object.keys(TARGETS) : positionals;
  for (const target of values.built === true ? [] : wanted.length > 0 ? wanted : [HOST]) {
    if (!isTarget(target)) throw new Error(`${target} is none of ${Object.keys(TARGETS).join(", ")}`);
    await build(target, folder);
  }
  await Bun.write(join(folder, "tapedeck.cdx.json"), `${JSON.stringify(await releaseSbom(), null, 2)}\n`);
  await Bun.write(join(folder, "THIRD-PARTY-NOTICES.txt"), await notices());
  await Bun.write(join(folder, "LICENSE"), Bun.file(join(ROOT, "LICENSE")));
  const sums = await checksums(folder);
  await Bun.write(join(folder, "SHA256SUMS"), sums);
  process.stdout.write(sums);
}
