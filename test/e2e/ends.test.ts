/** Ends that nobody planned: the drain's thread is killed; the clock is set back and everything killed at once. */
import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { startBinance } from "../../src/simulator/binance.ts";
import { compareAccount, uncovered } from "../helpers/account.ts";
import { auditLake } from "../helpers/audit.ts";
import { streamFrom, withSql } from "../helpers/lake.ts";
import { startRecorder } from "../helpers/recorder.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { Stalls } from "../helpers/stalls.ts";
import { waitFor } from "../helpers/wait.ts";

const LONG = process.env.TAPEDECK_TEST_LONG === "1";
const folder = scratchFolder("ends");
const PRELOAD = join(import.meta.dir, "../helpers/preload");
const ARGS = ["--streams", "bbo,trade"];
const INSTRUMENTS = 20;
const SET = { "flush.interval": "150ms", "flush.min_gap": "0ms" };

test("the drain's thread is killed while news cannot be sent: nobody waits for them", async () => {
  const exchange = startBinance({ instruments: 2, rate: 500 });
  let hung = 0;
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    idleTimeout: 0,
    fetch() {
      hung++;
      return new Promise<Response>(() => undefined);
    },
  });
  try {
    const [data, die] = [join(folder, "news"), join(folder, "die-news")];
    const news = {
      "notify.webhook_url": `${server.url.href}hook`,
      "notify.timeout": "1m",
      "notify.gather": "0ms",
      "notify.interval": "0ms",
      // Far above what the end takes on a machine that is however slow.
      "notify.stop_timeout": "1m",
    };
    const recorder = await startRecorder({
      cwd: folder,
      data,
      exchange,
      args: ARGS,
      set: { ...SET, ...news },
      env: { TEST_DIE: die },
      preload: join(PRELOAD, "dying-drain.ts"),
    });
    await waitFor("news that hang", () => hung > 0);
    const began = performance.now();
    writeFileSync(die, "");
    expect(await recorder.process.exit()).not.toBe(0);
    expect(performance.now() - began).toBeLessThan(30_000);
  } finally {
    await server.stop(true);
    await exchange.stop();
  }
}, 180_000);

test("the drain's thread is killed: the process ends with an exit code of its own, and the next start has everything", async () => {
  const exchange = startBinance({ instruments: 10, rate: 4000, account: true });
  try {
    const [data, die] = [join(folder, "died"), join(folder, "die")];
    const options = { cwd: folder, data, exchange, args: ARGS, set: SET };
    const preload = join(PRELOAD, "dying-drain.ts");
    const first = await startRecorder({ ...options, env: { TEST_DIE: die }, preload });
    await first.until("files", ({ balance: { published } }) => published > 500);
    using stalls = new Stalls([first.process.pid], () => performance.now() * 1000);
    const began = performance.now();
    writeFileSync(die, "");
    const code = await first.process.exit();
    const took = performance.now() - began;
    expect(code).not.toBe(0);
    // Within a second of processor time that others did not take.
    const taken = stalls.between(began * 1000, (began + took) * 1000);
    expect(took - taken, `${took} ms, ${taken} of it taken by other processes`).toBeLessThan(1000);
    // A thread that ends in the middle of a COPY takes the process with it before it can say anything.
    if (code === 1) expect(first.process.events("thread_died")).toHaveLength(1);
    const second = await startRecorder(options);
    await second.until("files", ({ balance: { published } }) => published > 500);
    await exchange.pause();
    const { code: code2, end } = await second.stop();
    expect([code2, end.holds, end.inJournal]).toEqual([0, true, 0]);
    await withSql(async (sql) => {
      await auditLake(sql, data);
      const { missing } = await compareAccount(sql, exchange, data);
      expect(await uncovered(sql, data, missing)).toEqual([]);
      console.log(`the drain's thread killed: exit code ${code} after ${Math.round(took)} ms`);
    });
  } finally {
    await exchange.stop();
  }
}, 180_000);

test.skipIf(!LONG)(
  `${LONG ? "" : "SKIPPED, TAPEDECK_TEST_LONG=1 runs it: "}the clock set back by 30 s, kill -9 at once, four ingest workers after it: keys are unique, one crash for each stream`,
  async () => {
    const exchange = startBinance({ instruments: INSTRUMENTS, rate: 4000, account: true });
    try {
      const [data, clock] = [join(folder, "clock"), join(folder, "offset")];
      writeFileSync(clock, "0");
      const env = { TEST_CLOCK: clock };
      const preload = join(PRELOAD, "wall-clock.ts");
      const options = { cwd: folder, data, exchange, args: ARGS, env, preload };
      const first = await startRecorder({ ...options, set: SET });
      await first.until("files", ({ balance: { published } }) => published > 500);
      writeFileSync(clock, "-30000");
      await Bun.sleep(60);
      first.process.signal("SIGKILL");
      await first.process.exit();
      const second = await startRecorder({ ...options, set: { ...SET, "ingest.workers": "4" } });
      // Until each of them has subscribed to all of its part, and has brought events.
      await waitFor("all subscriptions", () => exchange.stats().subscriptions >= 2 * INSTRUMENTS);
      const { published: before } = (await second.metrics()).balance;
      await second.until("files of all", ({ balance: { published } }) => published > before + 1500);
      await exchange.pause();
      const { code, end } = await second.stop();
      expect([code, end.holds, end.inJournal]).toEqual([0, true, 0]);
      const [one, two] = [first, second].map(({ process }) =>
        String(process.events("collector_start")[0]?.run),
      );
      const [begin1, begin2] = [one, two].map((run) => Number(/-(\d{16})-/.exec(run ?? "")?.[1]));
      // It worked: by its own name the second began before the first.
      expect(begin2).toBeLessThan(Number(begin1));
      await withSql(async (sql) => {
        await auditLake(sql, data);
        const { missing } = await compareAccount(sql, exchange, data);
        expect(missing.length).toBeGreaterThan(0);
        for (const stream of ["bbo", "trade"]) {
          const from = streamFrom(data, stream);
          expect(await sql.number(`SELECT count(*) - count(DISTINCT (run, ring, seq)) FROM ${from}`)).toBe(0);
          const rings = await sql.number(`SELECT count(DISTINCT ring) FROM ${from} WHERE run = '${two}'`);
          expect(rings).toBe(4);
          const crashes = await sql.rows(
            `SELECT symbol, epoch_us(from_timestamp) AS "from", epoch_us(to_timestamp) AS "to", certainty
           FROM ${streamFrom(data, "gaps")} WHERE affected_stream = '${stream}' AND reason = 'crash'`,
          );
          // Four workers, one row for all symbols.
          expect(crashes.map(({ symbol }) => symbol)).toEqual([null]);
          // By the clock of the run that writes it: the first one's last row lies in its future.
          for (const { from: since, to, certainty } of crashes) {
            expect([since, certainty]).toEqual([Number(begin2), "lost"]);
            expect(Number(to)).toBeGreaterThan(Number(begin2));
            expect(Number(to)).toBeLessThan(Number(begin2) + 15_000_000);
          }
        }
      });
    } finally {
      await exchange.stop();
    }
  },
  180_000,
);
