/** A real S3 server, where there is one: versitygw, which `.ci/run` installs from the Go modules. */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { waitFor } from "../wait.ts";
import type { Keys } from "./signature.ts";

const ROOT = join(import.meta.dir, "../../..");

/** Where it is; null = it is not here, and the tests that need it say so. */
export const VERSITYGW: string | null = (() => {
  const own = join(ROOT, ".tools/versitygw");
  return process.env.TAPEDECK_TEST_VERSITYGW ?? (existsSync(own) ? own : Bun.which("versitygw"));
})();

const KEYS: Keys = { accessKey: "AKREAL", secretKey: "a-secret-of-the-test" };

/** Starts it over a folder, with one bucket. */
export async function startVersitygw(folder: string) {
  if (VERSITYGW === null) throw new Error("versitygw is not here");
  const [root, sidecar] = [join(folder, "objects"), join(folder, "metadata")];
  mkdirSync(join(root, "lake"), { recursive: true });
  mkdirSync(sidecar, { recursive: true });
  const probe = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { port } = probe;
  probe.stop(true);
  const child = Bun.spawn(
    [
      VERSITYGW,
      "--port",
      `127.0.0.1:${port}`,
      "--access",
      KEYS.accessKey,
      "--secret",
      KEYS.secretKey,
      "posix",
      "--sidecar",
      sidecar,
      root,
    ],
    { stdin: "ignore", stdout: "ignore", stderr: "ignore" },
  );
  process.on("exit", () => child.kill("SIGKILL"));
  const url = `http://127.0.0.1:${port}`;
  await waitFor("versitygw", async () => {
    if (child.exitCode !== null) throw new Error(`versitygw has ended with ${child.exitCode}`);
    return fetch(url).then(
      () => true,
      () => false,
    );
  });
  return {
    url,
    bucket: "lake",
    keys: KEYS,
    /** Where objects are as files. */
    root: join(root, "lake"),
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}
