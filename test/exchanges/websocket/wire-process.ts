/**
 * A process with one WebSocket: `wire-process.ts <url> <how>`. It ends when nothing is left that keeps it.
 *
 * `how` = `throw:EVENT`: an exception is thrown when that is told, the second time for `message`; `terminate`, `close`: that is
 * done once it is open; `terminate at once`, `close at once`: before; `wait`: nothing.
 */
import { DirectWire } from "../../../src/exchanges/websocket/direct.ts";
import type { WireEvents } from "../../../src/exchanges/websocket/wire.ts";
import { TEST_BOUNDS } from "../../helpers/connection.ts";

const [url = "", how = ""] = process.argv.slice(2);

let messages = 0;
function on(event: keyof WireEvents): void {
  console.log(`told ${event}`);
  if (event === "message") messages++;
  if (how === `throw:${event}` && (event !== "message" || messages === 2))
    throw new Error(`planted in ${event}`);
}

const wire = new DirectWire(url, null, {
  bounds: { ...TEST_BOUNDS, handshakeTimeout: 60_000 },
  events: {
    opened: () => {
      on("opened");
      if (how === "terminate") wire.terminate();
      else if (how === "close") wire.close(1000);
    },
    message: () => on("message"),
    heard: () => on("heard"),
    refused: () => on("refused"),
    failed: () => on("failed"),
    closed: () => on("closed"),
  },
});
if (how === "terminate at once") wire.terminate();
else if (how === "close at once") wire.close(1000);
