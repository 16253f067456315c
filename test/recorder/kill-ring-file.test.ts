/**
 * kill -9 of the whole recorder under load, its rings being files and its drain slow: every event that had been
 * accepted, by the counters in the files that are left, is in the lake afterwards, once. Three kills, one of them while
 * the start after another brings its rings into journals; TAPEDECK_TEST_LONG=1 makes it fifty.
 */
import { expect, test } from "bun:test";
import { cpSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { findRing, settleRing } from "../../src/ring/file.ts";
import { HEAD, TAIL, viewsOf } from "../../src/ring/memory.ts";
import { startBinance } from "../../src/simulator/binance.ts";
import { readAbout } from "../../src/storage/rings/format.ts";
import { tapedeck } from "../cli/run.ts";
import { auditLake } from "../helpers/audit.ts";
import { quoted, streamFrom, withSql } from "../helpers/lake.ts";
import { tapedeck as start } from "../helpers/process.ts";
import { recordArguments, startRecorder } from "../helpers/recorder.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { seeded } from "../lib/seed.ts";

const LONG = process.env.TAPEDECK_TEST_LONG === "1";
const KILLS = LONG ? 50 : 2;
const RATE = LONG ? 50_000 : 10_000;
const STREAMS = ["bbo", "trade"] as const;
const cwd = scratchFolder("kill-ring-file");
const data = join(cwd, "data");
const rings = join(data, "rings");

/** A ring that a kill has left. */
interface LeftRing {
  readonly run: string;
  readonly ring: number;
  readonly stream: string;
  readonly accepted: number;
  readonly inRing: number;
}

/** What stands in the rings that are left; of a copy, for to look must change nothing. */
function leftRings(): LeftRing[] {
  const copy = join(cwd, "copy", crypto.randomUUID());
  mkdirSync(copy, { recursive: true });
  cpSync(rings, copy, { recursive: true });
  return readdirSync(copy)
    .filter((name) => name.endsWith(".ring"))
    .map((name) => {
      const { handle, about } = findRing(join(copy, name));
      const views = viewsOf(handle);
      settleRing(handle, views);
      const { run, ring, stream } = readAbout(about);
      const [accepted = 0, released = 0] = [views.control[HEAD], views.control[TAIL]].map(
        (one = 0) => one >>> 0,
      );
      return { run, ring, stream, accepted, inRing: accepted - released };
    });
}

test(
  `${KILLS} kills at ${RATE} events/s with rings in files: all that was accepted is there, and nothing is twice`,
  async () => {
    const random = seeded("kill-ring-file");
    const exchange = startBinance({ instruments: 40, rate: RATE, seed: "rings" });
    const options = {
      cwd,
      data,
      exchange,
      args: ["--streams", STREAMS.join(",")],
      // Rows stay in the rings for long, so that each kill finds many of them there.
      set: {
        "ring.backing": "file",
        "drain.poll": "150ms",
        "flush.interval": "700ms",
        "flush.min_gap": "0ms",
        "ring.capacity.bbo": "16384",
        "ring.capacity.trade": "16384",
      },
    };
    try {
      const left: LeftRing[] = [];
      for (let kill = 0; kill < KILLS; kill++) {
        const recorder = await startRecorder(options);
        await recorder.until("events", ({ total_events }) => total_events > 1000);
        // From then on a hole is the run's own, and no part of what was before it.
        if (kill === 0)
          for (const stream of STREAMS) await recorder.process.event("gap", (line) => line.stream === stream);
        await Bun.sleep(random.below(1200));
        recorder.process.signal("SIGKILL");
        expect(await recorder.process.exit()).toBe("SIGKILL");
        const now = leftRings();
        expect(now.length).toBe(STREAMS.length);
        left.push(...now);
        if (kill % 3 !== 0) continue;
        // The next start is killed as soon as it has begun, most likely before it has a ring of its own.
        const next = start(recordArguments(options), { cwd });
        await Bun.sleep(random.below(600));
        next.signal("SIGKILL");
        await next.exit();
        for (const one of leftRings()) if (!left.some(({ run }) => run === one.run)) left.push(one);
      }
      const last = await startRecorder({ ...options, set: { ...options.set, "ring.backing": "memory" } });
      await last.until("events", ({ total_events }) => total_events > 1000);
      const { code, end } = await last.stop();
      expect([code, end.lost, end.holds]).toEqual([0, 0, true]);
      expect(readdirSync(rings)).toEqual([]);
      expect(readdirSync(join(data, "quarantine")).filter((name) => name.endsWith(".ring"))).toEqual([]);
      await withSql(async (sql) => {
        await auditLake(sql, data);
        for (const { run, ring, stream, accepted } of left) {
          const from = `${streamFrom(data, stream)} WHERE run = ${quoted(run)} AND ring = ${ring}`;
          const rows = await sql.rows(
            `SELECT count(*)::INTEGER AS rows, count(DISTINCT seq)::INTEGER AS seqs FROM ${from}`,
          );
          expect(rows, `${run} ${stream}`).toEqual([{ rows: accepted, seqs: accepted }]);
        }
        // The hole that is told of the first kill begins where its data ends, which is now what was in the ring.
        for (const stream of STREAMS) {
          const [begin, end] = await Promise.all([
            sql.number(
              `SELECT epoch_us(min(from_timestamp)) FROM ${streamFrom(data, "gaps")}
               WHERE reason = 'crash' AND affected_stream = '${stream}'`,
            ),
            sql.number(
              `SELECT epoch_us(max(local_timestamp)) FROM ${streamFrom(data, stream)}
               WHERE run = ${quoted(left[0]?.run ?? "")}`,
            ),
          ]);
          expect(begin, stream).toBe(end);
        }
      });
      const inRings = left.map(({ inRing }) => inRing);
      const sum = inRings.reduce((all, one) => all + one, 0);
      expect(sum).toBeGreaterThan(100);
      console.log(
        `kill -9 with rings in files: ${KILLS} kills found ${sum} events in rings, all of them are in the lake`,
      );
      const verified = await tapedeck(["verify", data], { cwd });
      expect(verified.code, verified.stdout + verified.stderr).toBe(0);
    } finally {
      await exchange.stop();
    }
  },
  LONG ? 1_800_000 : 180_000,
);
