/** Files that an earlier run could not bring away: they arrive, and the writer's numbers say so. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { startBinance } from "../../src/simulator/binance.ts";
import { metricsSchema } from "../../src/status/answers.ts";
import { streamFrom, withSql } from "../helpers/lake.ts";
import { startRecorder } from "../helpers/recorder.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { waitFor } from "../helpers/wait.ts";

const cwd = scratchFolder("earlier-outbox");
/** All that surely come. */
const STREAMS = ["bbo", "trade", "mark_price", "funding"];
const args = ["--streams", STREAMS.join(",")];
const FLUSH = {
  "flush.interval": "300ms",
  "flush.slow_interval": "300ms",
  "flush.min_gap": "0ms",
};

test("total_written counts the events of every file that arrives, those of an earlier run's outbox too", async () => {
  const exchange = startBinance({ instruments: 8, rate: 500 });
  try {
    const first = await startRecorder({
      cwd,
      exchange,
      args,
      set: {
        ...FLUSH,
        "storage.backend": "s3",
        // Nobody listens there.
        "s3.endpoint": "http://127.0.0.1:9",
        "s3.bucket": "nowhere",
        "s3.access_key": "key",
        "s3.secret_key": "secret",
        "stop.timeout": "1s",
      },
    });
    await first.until("files that wait", ({ balance: { inOutbox } }) => inOutbox > 500);
    const { code, end } = await first.stop();
    expect([code, end.published]).toEqual([0, 0]);
    expect(end.inOutbox).toBe(end.received);

    // The next run gets nothing of its own, so all that it writes is what it found.
    const { end: comeBack } = exchange.faults.inject({ kind: "refuse", forMs: 600_000 });
    const second = await startRecorder({ cwd, exchange, args, set: FLUSH });
    const metrics = async () => metricsSchema.parse(await second.get("/metrics"));
    const { writer, balance } = await waitFor("the outbox is empty", async () => {
      const now = await metrics();
      return now.outbox.files === 0 && now.writer.files_written > 0 && now;
    });
    expect(balance).toMatchObject({ received: 0, recovered: 0, published: 0, holds: true });
    expect(writer).toMatchObject({ total_written: end.received, pending_events: 0 });
    comeBack();
    await second.until("events of its own", ({ balance: { published } }) => published > 200);
    const stopped = await second.stop();
    expect(stopped.code).toBe(0);
    const rows = await withSql(async (sql) => {
      let sum = 0;
      for (const stream of STREAMS)
        sum += Number(
          (await sql.row(`SELECT count(*) AS n FROM ${streamFrom(join(cwd, "data"), stream)}`)).n,
        );
      return sum;
    });
    expect(rows).toBe(end.received + stopped.end.published);
  } finally {
    await exchange.stop();
  }
}, 180_000);
