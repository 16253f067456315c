/**
 * A simulated exchange in this process, told what to do over IPC: what `tapedeck simulate` serves, and besides
 * the listings, delistings and pauses that no flag can time. Started by simulated.ts.
 */
import { z } from "zod";
import { startBinance } from "../../src/simulator/binance.ts";
import { startBybit } from "../../src/simulator/bybit.ts";
import { startOkx } from "../../src/simulator/okx.ts";

const optionsSchema = z.strictObject({
  seed: z.string().optional(),
  instruments: z.int().optional(),
  rate: z.number().optional(),
  liquidationShare: z.number().optional(),
  burstFactor: z.number().optional(),
  burstEveryMs: z.number().optional(),
  burstLengthMs: z.number().optional(),
  account: z.boolean().optional(),
});
const startSchema = z.strictObject({ exchange: z.enum(["binance", "bybit", "okx"]), options: optionsSchema });
const callSchema = z.strictObject({
  id: z.int(),
  call: z.enum(["stats", "pause", "resume", "list", "delist"]),
  instrument: z.string().optional(),
});

/** What this process does with any of them. */
interface Controlled {
  readonly url: string;
  readonly restUrl: string;
  stats(): object;
  pause(): Promise<void>;
  resume(): void;
  /** Lists an instrument; the id of it. */
  list(): string;
  delist(instrument: string): void;
}

/** Each with one instrument that waits to be listed. */
function start({ exchange, options: given }: z.infer<typeof startSchema>): Controlled {
  // Without the keys that were not given.
  const options = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  switch (exchange) {
    case "binance": {
      const binance = startBinance({ ...options, waiting: 1 });
      return Object.assign(control(binance), {
        list: () => binance.list().symbol,
        delist: (symbol: string) => binance.delist(symbol),
      });
    }
    case "okx": {
      const okx = startOkx({ ...options, waiting: 1 });
      return Object.assign(control(okx), {
        list: () => okx.list().instId,
        delist: (instId: string) => okx.delist(instId),
      });
    }
    case "bybit": {
      const bybit = startBybit({ ...options, preLaunch: 1 });
      return Object.assign(control(bybit), {
        list: () => {
          const next = bybit.instruments.find(({ status }) => status === "PreLaunch");
          if (next === undefined) throw new Error("no contract waits to be listed");
          bybit.setStatus(next.symbol, "Trading");
          return next.symbol;
        },
        delist: (symbol: string) => bybit.setStatus(symbol, "Closed"),
      });
    }
  }
}

function control(exchange: Omit<Controlled, "list" | "delist">): Omit<Controlled, "list" | "delist"> {
  return {
    url: exchange.url,
    restUrl: exchange.restUrl,
    stats: () => exchange.stats(),
    pause: () => exchange.pause(),
    resume: () => exchange.resume(),
  };
}

async function answer(exchange: Controlled, { call, instrument = "" }: z.infer<typeof callSchema>) {
  switch (call) {
    case "stats":
      return exchange.stats();
    case "pause":
      await exchange.pause();
      return exchange.stats();
    case "resume":
      return exchange.resume();
    case "list":
      return exchange.list();
    case "delist":
      return exchange.delist(instrument);
  }
}

const exchange = start(startSchema.parse(JSON.parse(process.argv[2] ?? "")));
process.on("message", (message) => {
  const call = callSchema.parse(message);
  answer(exchange, call).then(
    (result) => process.send?.({ id: call.id, result }),
    (error: unknown) => process.send?.({ id: call.id, error: String(error) }),
  );
});
process.on("disconnect", () => process.exit());
process.send?.({ url: exchange.url, restUrl: exchange.restUrl });
