/** The drain worker: a thread around {@link Drain}. */
import { Drain } from "./drain.ts";
import type { FromDrain, ToDrain } from "./messages.ts";

declare const self: {
  onmessage: ((event: MessageEvent<ToDrain>) => void) | null;
  postMessage(message: FromDrain): void;
};

/** How often statistics go to the main thread, ms. */
const STATS_INTERVAL = 250;

const post = (message: FromDrain) => self.postMessage(message);

/** Messages waiting to be taken up between two steps: DuckDB's connection is used by one thing at a time. */
const queue: Extract<ToDrain, { type: "symbols" | "rows" }>[] = [];
let stopTimeout: number | null = null;

function fatal(error: unknown): void {
  post({ type: "fatal", error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
}

process.on("uncaughtException", fatal);
process.on("unhandledRejection", fatal);

async function run(start: Extract<ToDrain, { type: "start" }>): Promise<void> {
  const drain = await Drain.open(start.options, {
    fileFinished: (file) => post({ type: "file", file }),
    copyFailed: ({ exchange, stream, key }, error, retryIn) =>
      post({ type: "copy_failed", key: `${exchange}/${stream}/${key.ring}/${key.n}`, error, retryIn }),
    copyRecovered: () => post({ type: "copy_recovered" }),
  });
  let moved = 0;
  let reported = 0;
  post({ type: "ready" });
  const takeUp = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      if (next.type === "rows") {
        await drain.addRows(next.exchange, next.dataset, next.rows, next.nowUs);
      } else {
        await drain.addSymbols(next.exchange, next.symbols);
        post({ type: "symbols", id: next.id });
      }
    }
  };
  while (stopTimeout === null) {
    await takeUp();
    const step = await drain.step();
    moved += step;
    const now = performance.now();
    if (now - reported >= STATS_INTERVAL) {
      reported = now;
      const { openRows, openSegments } = drain;
      post({ type: "stats", stats: { openRows, openSegments, moved } });
    }
    // A short sleep rather than Atomics.wait, which would stop this thread's event loop and with it DuckDB.
    await Bun.sleep(start.poll);
  }
  await takeUp();
  const lost = await drain.stop(performance.now() + stopTimeout);
  post({ type: "stats", stats: { openRows: 0, openSegments: 0, moved } });
  post({ type: "stopped", lost });
  self.onmessage = null;
}

self.onmessage = ({ data }) => {
  switch (data.type) {
    case "start":
      run(data).catch(fatal);
      return;
    case "symbols":
    case "rows":
      queue.push(data);
      return;
    case "stop":
      stopTimeout = data.timeout;
      return;
  }
};
