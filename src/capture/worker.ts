/** The writer of captures: a thread of its own around {@link RawWriter}, free to wait for the disk. */
import { readBlock } from "./block.ts";
import type { BlockDone, FromCaptureWorker, ToCaptureWorker, ToWriter, WriterOptions } from "./messages.ts";
import { recoverFiles } from "./recover.ts";
import { RawWriter } from "./writer.ts";

declare const self: {
  onmessage: ((event: MessageEvent<ToCaptureWorker>) => void) | null;
  postMessage(message: FromCaptureWorker): void;
};

/** How often is looked for what is due by time, ms. */
const TICK_INTERVAL = 100;
/** How often statistics go to the main thread, ms. */
const STATS_INTERVAL = 500;

const post = (message: FromCaptureWorker) => self.postMessage(message);

function fatal(error: unknown): void {
  post({ type: "fatal", error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
}

process.on("uncaughtException", fatal);
process.on("unhandledRejection", fatal);

let end: (() => void) | null = null;

function start(options: WriterOptions, ports: readonly MessagePort[]): void {
  recoverFiles(
    options.root,
    (file) => post({ type: "recovered", file }),
    (path, error) => post({ type: "failed", error: `${path} cannot be recovered: ${String(error)}` }),
  );
  const writer = new RawWriter(options, {
    file: (file) => post({ type: "file", file }),
    full: (bytes) => post({ type: "full", bytes }),
    resumed: () => post({ type: "resumed" }),
    failed: (error) => post({ type: "failed", error }),
  });
  const ticks = setInterval(() => writer.tick(Date.now() * 1000), TICK_INTERVAL);
  const reports = setInterval(() => post({ type: "stats", stats: writer.stats() }), STATS_INTERVAL);
  end = () => {
    end = null;
    clearInterval(ticks);
    clearInterval(reports);
    writer.close();
    for (const port of ports) port.close();
    post({ type: "stopped", stats: writer.stats() });
    self.onmessage = null;
  };
  const going = new Set(ports);
  for (const [worker, port] of ports.entries()) {
    port.onmessage = ({ data }: { readonly data: ToWriter }) => {
      switch (data.type) {
        case "opened":
          writer.opened(data.connection, data.url);
          return;
        case "block": {
          readBlock(data, (exchange, connection, ts, frame, isMark) => {
            if (isMark) writer.mark(worker, exchange, ts, frame);
            else writer.add({ worker, exchange, connection, ts, frame });
          });
          const done: BlockDone = { buffer: data.buffer };
          port.postMessage(done, [data.buffer]);
          return;
        }
        case "end":
          going.delete(port);
          if (going.size === 0) end?.();
          return;
      }
    };
  }
  post({ type: "ready" });
}

self.onmessage = ({ data }) => {
  try {
    if (data.type === "start") start(data.options, data.ports);
    else end?.();
  } catch (error) {
    fatal(error);
  }
};
