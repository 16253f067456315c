/**
 * What a reader of the pages has at hand, on loopback: three exchanges, a recording, a recorder that runs, two buckets, and
 * `tapedeck` on the PATH. docs/README.md tells writers of pages what they may count on.
 */
import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { homedir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { PROGRAM, SHORT_LIVED } from "../../helpers/program.ts";
import { type StandIn, startStandIn } from "../../helpers/s3/stand-in.ts";
import { type Simulated, startSimulated } from "../../helpers/simulated.ts";
import { waitFor } from "../../helpers/wait.ts";
import { ROOT } from "./blocks.ts";
import { type Background, Shell } from "./shell.ts";

/** Streams that always move. */
const MOVING = new Set(["bbo", "trade", "mark_price"]);
const measured = z.looseObject({
  streams: z.array(z.looseObject({ stream: z.string(), lag_p50_ms: z.number().nullable() })),
});

/** How long the recording is that every page finds in `data/`. */
const RECORDED = "1500ms";
/** What a clone does not have. */
const NOT_CLONED = /^(\.git|node_modules|data.*|dist|\.env|\.venv|\.tools)$/;
/** Names that would set something of ours from the environment of whoever runs the tests. */
const OURS = /^(TAPEDECK_|STORAGE_|S3_|GCS_|AWS_|BUFFER_|FLUSH_)/;
const KEYS = { accessKey: "AK", secretKey: "SK" };

/** A port that nobody listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

/** The pages' day is 2026-11-20; here it is the one on which their recording was made, UTC. */
const day = new Date().toISOString().slice(0, 10);
const [year, month, dayOfMonth] = day.split("-").map(Number);

/** A text of a page with the day of the recording in place of the page's. */
export const onRecordedDay = (text: string): string =>
  text.replaceAll("2026-11-20", day).replaceAll("2026, 11, 20", `${year}, ${month}, ${dayOfMonth}`);

/** Started once for all pages. */
export class World {
  readonly #folder: string;
  readonly #exchanges: readonly Simulated[];
  readonly #buckets: readonly StandIn[];
  readonly #env: Readonly<Record<string, string>>;
  readonly #ports: { readonly status: number; readonly simulate: number };
  readonly #shell: Shell;
  readonly #shells: Shell[] = [];
  #recorder: Background | null = null;

  private constructor(
    folder: string,
    exchanges: readonly Simulated[],
    buckets: readonly StandIn[],
    ports: { status: number; simulate: number },
  ) {
    this.#folder = folder;
    this.#exchanges = exchanges;
    this.#buckets = buckets;
    this.#ports = ports;
    this.#env = this.#environment();
    this.#shell = this.#shellIn(join(folder, "world"), "world");
  }

  /** Starts the exchanges and the buckets, and records what the pages find. */
  static async start(folder: string): Promise<World> {
    const options = { instruments: 12, rate: 400, liquidationShare: 0.1 };
    const exchanges = await Promise.all(
      (["binance", "bybit", "okx"] as const).map((exchange) => startSimulated({ exchange, options })),
    );
    const buckets = await Promise.all(
      ["market-data", "market-data-2"].map((bucket) => startStandIn({ bucket, keys: KEYS })),
    );
    const ports = { status: await freePort(), simulate: await freePort() };
    const world = new World(folder, exchanges, buckets, ports);
    await world.#record();
    return world;
  }

  #environment(): Record<string, string> {
    const bin = join(this.#folder, "bin");
    const home = join(this.#folder, "home");
    mkdirSync(bin);
    mkdirSync(home);
    mkdirSync(join(this.#folder, "world"));
    symlinkSync(process.execPath, join(bin, "bun"));
    writeFileSync(
      join(bin, "tapedeck"),
      `#!/bin/sh\nexec ${PROGRAM.map((word) => `"${word}"`).join(" ")} "$@"\n`,
      {
        mode: 0o755,
      },
    );
    // Where packages come from is this machine's business.
    for (const name of [".npmrc", ".bunfig.toml"]) {
      if (existsSync(join(homedir(), name))) symlinkSync(join(homedir(), name), join(home, name));
    }
    const clean = Object.entries(process.env).filter(([name]) => !OURS.test(name));
    const endpoints = this.#exchanges.flatMap(({ exchange, url, restUrl }) => [
      [`TAPEDECK_EXCHANGES_${exchange.toUpperCase()}_WS_URL`, url],
      [`TAPEDECK_EXCHANGES_${exchange.toUpperCase()}_REST_URL`, restUrl],
    ]);
    const [s3, gcs] = this.#buckets;
    return {
      ...Object.fromEntries(clean),
      ...SHORT_LIVED,
      ...Object.fromEntries(endpoints),
      PATH: `${bin}:${process.env.PATH ?? ""}`,
      HOME: home,
      NO_COLOR: "1",
      TAPEDECK_STATUS_PORT: String(this.#ports.status),
      TAPEDECK_INSTANCE: "docs",
      S3_ENDPOINT: s3?.url ?? "",
      S3_ACCESS_KEY: KEYS.accessKey,
      S3_SECRET_KEY: KEYS.secretKey,
      S3_REGION: "eu-central-1",
      GCS_ENDPOINT: gcs?.url ?? "",
    };
  }

  #shellIn(folder: string, name: string): Shell {
    const shell = new Shell(folder, join(this.#folder, "state", name), this.#env);
    this.#shells.push(shell);
    return shell;
  }

  async #record(): Promise<void> {
    const { code, output } = await this.#shell.run(`tapedeck record --port 0 --duration ${RECORDED}`);
    if (code !== 0) throw new Error(`the recording for the pages failed (${code}):\n${output.slice(-4000)}`);
    const [bucket] = this.#buckets;
    const lake = join(this.#folder, "world/data/lake");
    for (const entry of readdirSync(lake, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const path = join(entry.parentPath, entry.name);
      const bytes = readFileSync(path);
      const hash = (algorithm: string) => createHash(algorithm).update(bytes).digest("hex");
      bucket?.objects.set(`lake/${path.slice(lake.length + 1)}`, {
        bytes,
        etag: hash("md5"),
        metadata: { sha256: hash("sha256") },
      });
    }
  }

  /** The folder of a page, as a reader has it: the checkout, and a recording in `data/`. */
  page(name: string, clone: boolean): { readonly folder: string; readonly shell: Shell } {
    const folder = join(this.#folder, "pages", name.replaceAll("/", "-"));
    mkdirSync(folder, { recursive: true });
    for (const entry of readdirSync(ROOT)) {
      if (NOT_CLONED.test(entry)) continue;
      if (clone) cpSync(join(ROOT, entry), join(folder, entry), { recursive: true });
      else symlinkSync(join(ROOT, entry), join(folder, entry));
    }
    if (!clone) symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"));
    cpSync(join(this.#folder, "world/data"), join(folder, "data"), { recursive: true });
    return { folder, shell: this.#shellIn(folder, name.replaceAll("/", "-")) };
  }

  /** What a reader would type here: free ports instead of the usual ones, the recording's day, keys instead of `…`. */
  typed(command: string): string {
    const { status, simulate } = this.#ports;
    // A day that is over is compacted, and the one of the recording is not.
    const dated = /\btapedeck compact\b/.test(command) ? command : onRecordedDay(command);
    return dated
      .replaceAll(/\b(127\.0\.0\.1|localhost|host):9100\b/g, `127.0.0.1:${status}`)
      .replaceAll(/\b(127\.0\.0\.1|localhost):9443\b/g, `127.0.0.1:${simulate}`)
      .replaceAll(/\btapedeck simulate\b/g, `tapedeck simulate --port ${simulate}`)
      .replaceAll(/\b(\w*ACCESS_KEY)=\S*…/g, `$1=${KEYS.accessKey}`)
      .replaceAll(/\b(\w*SECRET_KEY)=\S*…/g, `$1=${KEYS.secretKey}`);
  }

  /** Sees to it that a recorder runs at the usual port, or that none does. */
  async recorder(wanted: boolean): Promise<void> {
    if (wanted === (this.#recorder !== null)) return;
    if (this.#recorder === null) {
      const running = this.#shell.start("exec tapedeck record --data running");
      this.#recorder = running;
      await running.until(/"to":"READY"/);
      // READY it is with its first socket; a reader asks one that has been recording for a while.
      await waitFor("lags of quotes, trades and mark prices of each exchange", async () => {
        const { streams } = measured.parse(
          await (await fetch(`http://127.0.0.1:${this.#ports.status}/metrics`)).json(),
        );
        return streams.every(({ stream, lag_p50_ms }) => !MOVING.has(stream) || lag_p50_ms !== null);
      });
      return;
    }
    const { code, output } = await this.#recorder.stop();
    this.#recorder = null;
    if (code !== 0) throw new Error(`the recorder ended with ${code}:\n${output.slice(-4000)}`);
  }

  /** Ends everything; the recorder has to end as it should. */
  async stop(): Promise<void> {
    try {
      await this.recorder(false);
    } finally {
      await this.#end();
    }
  }

  async #end(): Promise<void> {
    for (const shell of this.#shells) shell.killAll();
    await Promise.all([...this.#exchanges, ...this.#buckets].map((one) => one[Symbol.asyncDispose]()));
  }
}
