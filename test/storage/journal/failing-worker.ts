/**
 * The drain worker as it is, but that it throws where nobody catches it: at the step, and as often, as its first
 * message says.
 */
import { DrainService } from "../../../src/storage/drain-service.ts";
import type { FromDrain, ToDrain } from "../../../src/storage/messages.ts";

/** When to throw. */
export interface Plan {
  readonly type: "plan";
  readonly step: string;
  readonly times: number;
}

declare const self: {
  onmessage: ((event: MessageEvent<ToDrain | Plan>) => void) | null;
  postMessage(message: FromDrain): void;
};

let step = "";
let left = 0;
const service = new DrainService(
  (message) => {
    self.postMessage(message);
    if (message.type === "stopped") self.onmessage = null;
  },
  async (at) => {
    if (at !== step || left <= 0) return;
    left--;
    setTimeout(() => {
      throw new Error(`thrown at ${at}`);
    }, 0);
    // A COPY goes on meanwhile.
    if (at !== "copying") await Bun.sleep(20);
  },
);
process.on("uncaughtException", (error) => service.fail(error));
process.on("unhandledRejection", (error) => service.fail(error));
self.onmessage = ({ data }) => {
  if (data.type !== "plan") {
    service.receive(data);
    return;
  }
  step = data.step;
  left = data.times;
};
