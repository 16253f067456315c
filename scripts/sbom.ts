/**
 * Prints a software bill of materials (CycloneDX 1.6, JSON) of what is shipped: the dependencies of bun.lock that are not
 * for development only, with licences and checksums. `bun scripts/sbom.ts`, after an install.
 */
import { z } from "zod";

const names = z.record(z.string(), z.string()).default({});
const lockSchema = z.looseObject({
  workspaces: z.looseObject({ "": z.looseObject({ dependencies: names }) }),
  packages: z.record(
    z.string(),
    z.tuple([
      z.string(),
      z.string(),
      z.looseObject({ dependencies: names, optionalDependencies: names }),
      z.string(),
    ]),
  ),
});
const manifestSchema = z.looseObject({
  name: z.string(),
  version: z.string(),
  license: z.string().optional(),
});

const root = new URL("../", import.meta.url);

async function json(path: string): Promise<unknown> {
  return Bun.JSONC.parse(await Bun.file(new URL(path, root)).text());
}

/** A component as CycloneDX has it. */
export interface Component {
  readonly type: "library";
  readonly "bom-ref": string;
  readonly name: string;
  readonly version: string;
  readonly purl: string;
  readonly hashes: readonly { readonly alg: "SHA-512"; readonly content: string }[];
  readonly licenses?: readonly { readonly license: { readonly id: string } }[];
}

/** The shipped packages in order of their names. */
export async function components(): Promise<readonly Component[]> {
  const { workspaces, packages } = lockSchema.parse(await json("bun.lock"));
  const wanted = new Set<string>();
  const follow = (from: string, name: string): void => {
    // As Node resolves: from the package's own folder upward.
    let folder = from;
    while (folder !== "" && packages[`${folder}/${name}`] === undefined) folder = parentOf(folder);
    const key = folder === "" ? name : `${folder}/${name}`;
    const found = packages[key];
    if (found === undefined || wanted.has(key)) return;
    wanted.add(key);
    const { dependencies, optionalDependencies } = found[2];
    for (const next of Object.keys({ ...dependencies, ...optionalDependencies })) follow(key, next);
  };
  for (const name of Object.keys(workspaces[""].dependencies)) follow("", name);
  return Promise.all([...wanted].sort().map((key) => component(key, packages[key])));
}

/** The folder above `a/b` or `@a/b/@c/d`; "" above the first. */
function parentOf(folder: string): string {
  const parts = folder.split("/");
  const last = parts.at(-2)?.startsWith("@") ? 2 : 1;
  return parts.slice(0, -last).join("/");
}

async function component(
  key: string,
  found: z.output<typeof lockSchema>["packages"][string] | undefined,
): Promise<Component> {
  if (found === undefined) throw new Error(`${key} is not in bun.lock`);
  const [id, , , integrity] = found;
  const at = id.lastIndexOf("@");
  const [name, version] = [id.slice(0, at), id.slice(at + 1)];
  const purl = `pkg:npm/${name.replace("@", "%40")}@${version}`;
  const content = Buffer.from(integrity.replace(/^sha512-/, ""), "base64").toString("hex");
  const license = await licenseOf(key);
  return {
    type: "library",
    "bom-ref": purl,
    name,
    version,
    purl,
    hashes: [{ alg: "SHA-512", content }],
    ...(license === undefined ? {} : { licenses: [{ license: { id: license } }] }),
  };
}

/** Undefined for packages of other platforms, which are not installed here. */
async function licenseOf(key: string): Promise<string | undefined> {
  const steps = key.match(/(?:@[^/]+\/)?[^/]+/g) ?? [];
  const file = Bun.file(new URL(`node_modules/${steps.join("/node_modules/")}/package.json`, root));
  return (await file.exists()) ? manifestSchema.parse(await file.json()).license : undefined;
}

/** The whole document. */
export async function sbom(): Promise<object> {
  const { name, version, license } = manifestSchema.parse(await json("package.json"));
  return {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: {
      component: {
        type: "application",
        "bom-ref": `pkg:npm/${name}@${version}`,
        name,
        version,
        ...(license === undefined ? {} : { licenses: [{ license: { id: license } }] }),
      },
    },
    components: await components(),
  };
}

if (import.meta.main) process.stdout.write(`${JSON.stringify(await sbom(), null, 2)}\n`);
