/** The drain worker: a thread around {@link DrainService}. */
import { DrainService } from "./drain-service.ts";
import type { FromDrain, ToDrain } from "./messages.ts";

declare const self: {
  onmessage: ((event: MessageEvent<ToDrain>) => void) | null;
  postMessage(message: FromDrain): void;
};

const service = new DrainService((message) => {
  self.postMessage(message);
  // Nothing keeps the thread then.
  if (message.type === "stopped") self.onmessage = null;
});

// Without these an error would end the thread, in the middle of a COPY perhaps: that aborts the process.
process.on("uncaughtException", (error) => service.fail(error));
process.on("unhandledRejection", (error) => service.fail(error));

self.onmessage = ({ data }) => service.receive(data);
