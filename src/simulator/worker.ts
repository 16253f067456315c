/** Simulated exchanges in a thread of their own, for `demo`: they end with the process. */
import {
  SIMULATED_EXCHANGES,
  type SimulatedExchange,
  type SimulatedName,
  type SimulationOptions,
} from "./exchanges.ts";

/** To the simulator. */
export type ToSimulator =
  | {
      readonly type: "start";
      readonly exchanges: readonly SimulatedName[];
      readonly options: SimulationOptions;
    }
  | { readonly type: "stop" };

/** Where a simulated exchange is reached. */
export interface SimulatedEndpoint {
  readonly exchange: SimulatedName;
  readonly wsUrl: string;
  readonly restUrl: string;
}

/** From the simulator. */
export type FromSimulator =
  | { readonly type: "ready"; readonly endpoints: readonly SimulatedEndpoint[] }
  /** Events or frames that were sent, over all exchanges. */
  | { readonly type: "stopped"; readonly sent: number };

declare const self: {
  onmessage: ((event: MessageEvent<ToSimulator>) => void) | null;
  postMessage(message: FromSimulator): void;
};

let running: readonly SimulatedExchange[] = [];

self.onmessage = ({ data }) => {
  if (data.type === "start") {
    running = data.exchanges.map((name) => SIMULATED_EXCHANGES[name](data.options));
    const endpoints = data.exchanges.map((exchange, index) => {
      const { url: wsUrl, restUrl } = running[index];
      return { exchange, wsUrl, restUrl };
    });
    self.postMessage({ type: "ready", endpoints });
    return;
  }
  const sent = running.flatMap((exchange) => Object.values(exchange.stats().sent));
  void Promise.all(running.map((exchange) => exchange.stop())).then(() => {
    self.postMessage({ type: "stopped", sent: sent.reduce((sum, count) => sum + count, 0) });
  });
};
