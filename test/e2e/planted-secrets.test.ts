/** Secrets planted in the settings of a recorder whose servers shout them back: they stand nowhere. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { startBinance } from "../../src/simulator/binance.ts";
import { quoted, withSql } from "../helpers/lake.ts";
import { tapedeck } from "../helpers/process.ts";
import { recordArguments, startRecorder } from "../helpers/recorder.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { waitFor } from "../helpers/wait.ts";

const cwd = scratchFolder("shouting");

const SECRETS = {
  "s3.access_key": "PLANTEDACCESSKEY",
  "s3.secret_key": "planted/secret+key=7",
  "notify.telegram_token": "987654:planted_telegram_token",
};
const HOOK = "planted-webhook-path-token";
const WORDS = [...Object.values(SECRETS), HOOK, encodeURIComponent(SECRETS["s3.secret_key"]), "planted"];

/** Answers everything by shouting all secrets; a bucket, Telegram and a webhook in one. */
function shouting() {
  const words = `${Object.values(SECRETS).join(" ")} ${HOOK}`;
  const bodies: string[] = [];
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      const { pathname } = new URL(request.url);
      if (pathname.startsWith("/bot") || pathname.startsWith("/hook")) {
        bodies.push(await request.text());
        return new Response(`no: ${words}`, { status: 500 });
      }
      return new Response(`<Error><Code>InternalError</Code><Message>no: ${words}</Message></Error>`, {
        status: 500,
        headers: { "content-type": "application/xml" },
      });
    },
  });
  return { server, bodies, url: server.url.href.replace(/\/$/, "") };
}

function withPassword(url: string): string {
  return url.replace("://", "://someone:planted-password@");
}

/** Neither rows nor raw frames name the exchange's address with its password, as others may read them. */
async function expectNoneRecorded(data: string, shown: string): Promise<void> {
  const texts: string[] = [];
  for await (const file of new Bun.Glob("**/*.jsonl.zst").scan({ cwd: data, onlyFiles: true }))
    texts.push(Bun.zstdDecompressSync(await Bun.file(join(data, file)).bytes()).toString());
  expect(texts.join("\n")).toContain(shown);
  expect(texts.filter((text) => text.includes("planted-password"))).toEqual([]);
  const files = quoted(join(data, "outbox/*connections*.parquet"));
  const rows = await withSql((sql) => sql.rows(`SELECT url FROM ${files}`));
  expect(rows.length).toBeGreaterThan(0);
  for (const row of rows) expect(row.url).toStartWith(shown);
}

test("in no log line, answer, message, error and file, and recording goes on all the same", async () => {
  const { server, bodies, url } = shouting();
  const exchange = startBinance({ instruments: 4, rate: 1000 });
  const set = {
    ...SECRETS,
    "storage.backend": "s3",
    "s3.endpoint": url,
    "s3.bucket": "lake",
    "upload.retry_min": "10ms",
    "upload.breaker_failures": "2",
    "storage.retry_max": "50ms",
    "flush.interval": "300ms",
    "flush.slow_interval": "300ms",
    "flush.min_gap": "0ms",
    "notify.webhook_url": `${url}/hook/${HOOK}?sig=${HOOK}`,
    "notify.telegram_url": url,
    "notify.telegram_chat": "-100",
    "notify.gather": "0ms",
    "notify.interval": "0ms",
    "notify.retry_max": "1s",
    "stop.timeout": "1s",
    // Its own lines are told all the same.
    "log.level": "debug",
  };
  try {
    const endpoints = { url: withPassword(exchange.url), restUrl: withPassword(exchange.restUrl) };
    const recorder = await startRecorder({
      cwd,
      exchange: endpoints,
      set,
      args: ["--no-preflight", "--raw"],
    });
    await recorder.process.event("publish_failed");
    await recorder.process.event("notify_failed", ({ channel }) => channel === "telegram");
    await recorder.process.event("notify_failed", ({ channel }) => channel === "webhook");
    const answers: string[] = [];
    await waitFor("a state that tells of the destination", async () => {
      const status = await (await fetch(`${recorder.url}/status`)).text();
      if (!status.includes("cannot be published")) return false;
      answers.push(status);
      return true;
    });
    for (const [path, accept] of [
      ["/health", "application/json"],
      ["/metrics", "application/json"],
      ["/metrics", "text/plain"],
      ["/streams?verbose", "application/json"],
      ["/readyz?verbose", "text/plain"],
      ["/", "text/html"],
    ] as const)
      answers.push(await (await fetch(recorder.url + path, { headers: { accept } })).text());
    const { code, end } = await recorder.stop();
    expect({ code, holds: end.holds, dropped: end.dropped }).toEqual({ code: 0, holds: true, dropped: 0 });
    expect(end.received).toBeGreaterThan(0);
    const { stdout, stderr } = recorder.process;
    const seen = { stdout, stderr, answers: answers.join("\n"), messages: bodies.join("\n") };
    for (const [where, text] of Object.entries(seen)) {
      for (const word of WORDS) {
        const at = text.indexOf(word);

        const around = text.slice(Math.max(0, at - 80), at + 80);
        if (at >= 0) throw new Error(`${where} has ${word}: …${around}…`);
      }
    }
    expect(stdout).toContain("***");
    await expectNoneRecorded(join(cwd, "data"), `${exchange.url.replace("://", "://***@")}/`);
    expect(bodies.length).toBeGreaterThan(1);
  } finally {
    await server.stop(true);
    await exchange.stop();
  }
});

test("nor in the error of a start that fails, nor in a wrong setting", async () => {
  const { server, url } = shouting();
  const denied = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: () =>
      new Response(
        `<Error><Code>AccessDenied</Code><Message>${Object.values(SECRETS).join(" ")}</Message></Error>`,
        { status: 403, headers: { "content-type": "application/xml" } },
      ),
  });
  const exchange = { url: "ws://127.0.0.1:1", restUrl: "http://127.0.0.1:1" };
  const set = {
    ...SECRETS,
    "storage.backend": "s3",
    "s3.endpoint": denied.url.href,
    "s3.bucket": "lake",
    "notify.telegram_chat": "-100",
    "notify.telegram_url": url,
  };
  try {
    const failed = tapedeck(recordArguments({ cwd, exchange, set, data: "other" }), { cwd });
    expect(await failed.exit()).toBe(1);
    const wrong = tapedeck(["record", "--set", `notify.telegram_token=${SECRETS["s3.secret_key"]}`], { cwd });
    expect(await wrong.exit()).toBe(2);
    for (const { stdout, stderr } of [failed, wrong]) {
      expect(stderr).not.toBe("");
      for (const word of WORDS.slice(0, -1)) expect(stdout + stderr).not.toContain(word);
    }
    expect(failed.stderr).toContain("AccessDenied");
    // An error with the words of the system, of which one is a secret.
    await Bun.write(join(cwd, "file"), "");
    const data = join(cwd, "file", SECRETS["s3.access_key"]);
    const named = tapedeck(recordArguments({ cwd, exchange, set, data }), { cwd });
    expect(await named.exit()).toBe(1);
    expect(named.stderr).toContain("/file/***");
    expect(named.stderr).not.toContain(SECRETS["s3.access_key"]);
  } finally {
    await server.stop(true);
    await denied.stop(true);
  }
});
