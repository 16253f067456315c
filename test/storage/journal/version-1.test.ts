/** A journal of version 1, byte for byte as it was written: every later program has to read it. Never to be changed. */
import { expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { inspectJournal } from "../../../src/storage/journal/inspect.ts";
import { recoverJournals } from "../../../src/storage/journal/recovery.ts";
import { RecoveredCounters } from "../../../src/storage/recovered.ts";
import { quoted, withSql } from "../../helpers/lake.ts";
import { scratchFolder } from "../../helpers/scratch.ts";
import { Feed, TestDrain } from "../feed.ts";

/** Three trades, in two records, and the seal; gzip, Base64. */
const VERSION_1 =
  "H4sIAAAAAAACA70US2jUQDT9CD16k+JtjrLZTVKturC27iqCLFLsioWlxEnytjtuko2ZWdttKaLgoQcvIniS9uZFRBCktiB4" +
  "LYIXvXgSsXj1KHjxJZm0mt2VquDAzPu/efPevFc7O3P+4uVL1SFFUV6euWvVkFh++C6IaIrHh/VXG8oB1grhdhM8Sorkpk5y" +
  "RNAAHLBbSGt5Pa8hC5bsJvUXAFkW86lvAzIdKigHQYoN6nLIkbDjo1wAF6p+8vQJfcI4pcmlUst20CRk/gIpajniJ2fHsyDk" +
  "pFgnvOtZbTe6nXnogXoB4kHHchlvgmP+zHXbNnV/4XDmRAEFIYsDo1674wtEbAkbLOTCZFEEHG50IImfcdNCX60EDQOWiGM7" +
  "3wdbsLZP5jEiWBJxjOhAkjMMbEDe8YSsgOuWuyLi6JPoRIRAvSgXIcXAVmWe4/o8WX49jPgF3Pb4m0cHqU+9jqkq1ypXZs/V" +
  "yB6mzmEwdT1Hdjdv7z5d+7y19eXBulTJsiLd+fj+8tHtqyPo8xr+j42d+9vDPbd9nVLWXjx/fGe8Miphjzxe324NhH3ts3pZ" +
  "fx8z8Df+/woOjn8UT+aoWqohaV35Tyuqy9SnxXpUl2e4q5vX54b2xdMpHJP5HOtbl/33jPXNe+rnT/Ob2u3lyfiXdx45fOze" +
  "IcTf4v7eeL8z0qs2rWTeuULC9iK21oRs5GrU/9hp6YzRkxmDg4EOEhrSdBbbuyg1YxwFLejGk6+QDrmSHHGFpI9LcRcXcNpB" +
  "ydCMSVXXVUMrZK83Bw8+UzO1fEBDnDyCrCo/AIm1Lj24BQAA";

const folder = scratchFolder("version-1");

test("a journal of version 1 becomes the file that it describes", async () => {
  const journal = join(folder, "journal");
  mkdirSync(journal);
  const path = join(journal, "binance~trade~test-1795132800000000-abcd~0~0.journal");
  writeFileSync(path, gunzipSync(Buffer.from(VERSION_1, "base64")));
  const key =
    "v1/exchange=binance/stream=trade/date=2026-11-20/1795132801000000_test-1795132800000000-abcd_0_0.parquet";
  expect(inspectJournal(path)).toMatchObject({
    header: { schema: "v1", exchange: "binance", stream: "trade" },
    seal: { key, rows: 3, firstSeq: 0, lastSeq: 2 },
    torn: 0,
    lost: [],
  });
  const { segments } = await recoverJournals({
    folder: journal,
    published: () => false,
    quarantine: (file) => Promise.reject(new Error(file)),
  });
  const counters = new RecoveredCounters();
  counters.take(3);
  const drain = await TestDrain.open(folder, [new Feed("bbo")], {
    run: "test-1795132900000000-wxyz",
    journal: { folder: journal },
    recovered: segments,
    recoveredCounters: counters.buffer,
  });
  expect(counters.read()).toEqual({ taken: 3, filed: 0, parked: 3 });
  expect(await drain.stop()).toBe(0);
  expect(counters.read()).toEqual({ taken: 3, filed: 3, parked: 0 });
  expect(drain.finished).toMatchObject([{ key, ring: -1, recovered: true, rows: 3 }]);
  await withSql(async (sql) => {
    const rows = await sql.rows(
      `SELECT symbol, instrument, id, price, amount, epoch_us(local_timestamp) AS local, run, ring, seq, side
       FROM ${quoted(drain.finished[0]?.path ?? "")} ORDER BY seq`,
    );
    expect(rows).toEqual(
      [0, 1, 2].map((seq) => ({
        symbol: seq % 2 === 0 ? "BTCUSDT" : "币安人生USDT",
        instrument: seq % 2 === 0 ? "BTCUSDT-X" : "币安人生USDT-X",
        id: `id-${seq}`,
        price: seq,
        amount: 0.5,
        local: 1_795_132_801_000_000 + seq,
        run: "test-1795132800000000-abcd",
        ring: 0,
        seq,
        side: null,
      })),
    );
  });
});
