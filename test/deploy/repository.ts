/** The files of the repository as tests of deploy/ read them. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { describeSettings } from "../../src/config/describe.ts";
import { OPERATOR_NAMES } from "../../src/config/env.ts";

/** Root of the repository. */
export const ROOT = join(import.meta.dir, "../..");

/** A text file of the repository. */
export function read(path: string): Promise<string> {
  return Bun.file(join(ROOT, path)).text();
}

/** A YAML file of the repository: its documents. */
export async function documents(path: string): Promise<readonly unknown[]> {
  const parsed: unknown = Bun.YAML.parse(await read(path));
  return Array.isArray(parsed) ? parsed : [parsed];
}

/** The one document of a YAML file. */
export async function yaml<T>(path: string, schema: z.ZodType<T>): Promise<T> {
  return schema.parse((await documents(path))[0]);
}

/** Whether the repository has it. */
export function has(path: string): boolean {
  return existsSync(join(ROOT, path));
}

/** Every environment variable that sets something, with the path of the setting. */
export const ENVIRONMENT: ReadonlyMap<string, string> = new Map([
  ...describeSettings().map(({ env, path }) => [env, path] as const),
  ...Object.entries(OPERATOR_NAMES),
]);

/** Names of environment variables that look like ours and set nothing. */
export function unknownNames(names: readonly string[]): readonly string[] {
  return names.filter((name) => /^(TAPEDECK|STORAGE|S3|GCS)_/.test(name) && !ENVIRONMENT.has(name));
}

/** The alert rules. */
export const rulesSchema = z.strictObject({
  groups: z.array(
    z.strictObject({
      name: z.string(),
      rules: z.array(
        z.strictObject({
          alert: z.string(),
          expr: z.string(),
          for: z.string().optional(),
          labels: z.strictObject({ severity: z.enum(["critical", "warning"]) }),
          annotations: z.strictObject({ summary: z.string(), description: z.string() }),
        }),
      ),
    }),
  ),
});

/** Queries of the dashboard by the title of their panel. */
export async function panelQueries(): Promise<readonly { readonly title: string; readonly expr: string }[]> {
  const schema = z.looseObject({
    panels: z.array(
      z.looseObject({ title: z.string(), targets: z.array(z.looseObject({ expr: z.string() })) }),
    ),
  });
  const { panels } = schema.parse(JSON.parse(await read("deploy/grafana/dashboards/tapedeck.json")));
  return panels.flatMap(({ title, targets }) => targets.map(({ expr }) => ({ title, expr })));
}
