/** A simulated Binance in a thread of its own, for `demo`: it ends with the process. */
import { type BinanceOptions, type BinanceStats, startBinance } from "./binance.ts";

/** To the simulator. */
export type ToSimulator =
  | { readonly type: "start"; readonly options: BinanceOptions }
  | { readonly type: "stop" };

/** From the simulator. */
export type FromSimulator =
  | { readonly type: "ready"; readonly wsUrl: string; readonly restUrl: string }
  | { readonly type: "stopped"; readonly stats: BinanceStats };

declare const self: {
  onmessage: ((event: MessageEvent<ToSimulator>) => void) | null;
  postMessage(message: FromSimulator): void;
};

let exchange: ReturnType<typeof startBinance> | null = null;

self.onmessage = ({ data }) => {
  if (data.type === "start") {
    exchange = startBinance(data.options);
    self.postMessage({ type: "ready", wsUrl: exchange.url, restUrl: exchange.restUrl });
    return;
  }
  if (exchange === null) return;
  const stats = exchange.stats();
  void exchange.stop().then(() => self.postMessage({ type: "stopped", stats }));
};
