/** The compose file's S3 server and the step that makes its bucket, with the real server. */
import { expect, test } from "bun:test";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { VERSITYGW } from "../helpers/s3/versitygw.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { within } from "../helpers/wait.ts";
import { yaml } from "./repository.ts";

const cwd = scratchFolder("bucket");
const curl = Bun.which("curl");
const keys = { S3_ACCESS_KEY: "key-of-a-test", S3_SECRET_KEY: "secret/of+a=test" };

test.skipIf(VERSITYGW === null || curl === null)(
  "compose: the bucket is made, and found when it is there (needs versitygw and curl)",
  async () => {
    const service = z.looseObject({
      command: z.array(z.string()),
      environment: z.record(z.string(), z.string()),
    });
    const { services } = await yaml(
      "deploy/compose.yaml",
      z.looseObject({ services: z.looseObject({ s3: service, bucket: service }) }),
    );
    const { s3, bucket } = services;
    const lake = join(cwd, "gw");
    mkdirSync(lake);
    const probe = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    const { port } = probe;
    probe.stop(true);
    const filled = Object.entries(s3.environment).map(([name, value]) => [
      name,
      value.replace(/\$\{(\w+):\?[^}]*\}/, (_, key: string) =>
        key === "S3_ACCESS_KEY" ? keys.S3_ACCESS_KEY : keys.S3_SECRET_KEY,
      ),
    ]);
    const server = Bun.spawn([VERSITYGW ?? "", ...s3.command.map((word) => (word === "/gw" ? lake : word))], {
      env: { ...Object.fromEntries(filled), VGW_PORT: `127.0.0.1:${port}` },
      stdout: "ignore",
      stderr: "ignore",
    });
    const [script = ""] = bucket.command;
    const step = async () => {
      const child = Bun.spawn(
        ["/bin/sh", "-c", script.replaceAll("$$", "$").replace("http://s3:7070", `http://127.0.0.1:${port}`)],
        {
          env: { ...keys, PATH: process.env.PATH ?? "" },
          stdout: "pipe",
        },
      );
      const said = await within("the step", new Response(child.stdout).text());
      return { code: await child.exited, said };
    };
    try {
      expect(await step()).toEqual({ code: 0, said: "bucket: 200\n" });
      expect(readdirSync(lake)).toContain("tapedeck");
      expect(await step()).toEqual({ code: 0, said: "bucket: 409\n" });
    } finally {
      server.kill();
      await server.exited;
    }
  },
);
