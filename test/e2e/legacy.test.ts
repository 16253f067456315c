/** The dead Bybit v2 protocol, as it was recorded: none of it is an event, and recording goes on. */
import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { startBybit } from "../../src/simulator/bybit.ts";
import { startRecorder } from "../helpers/recorder.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { waitFor } from "../helpers/wait.ts";
import { FIXTURES, HAVE_FIXTURES } from "../lib/fixtures.ts";

const FILE = "streams/bybit-legacy-v2-not-v5.jsonl";
const GOOD =
  '{"topic":"orderbook.1.BTCUSDT","ts":1795132800001,"type":"snapshot","data":{"s":"BTCUSDT","b":[["1.5","2"]],"a":[["1.6","3"]],"u":7,"seq":9},"cts":1795132800000}';

test.skipIf(!HAVE_FIXTURES)(
  `frames of Bybit v2 are quarantined, every one, and recording goes on (${FILE})`,
  async () => {
    const line = z.object({ dir: z.string(), raw: z.string() });
    const frames = readFileSync(join(FIXTURES, FILE), "utf8")
      .split("\n")
      .filter((text) => text !== "")
      .map((text) => line.parse(JSON.parse(text)))
      .filter(({ dir }) => dir === "in")
      .map(({ raw }) => raw);
    const acks = frames.filter((raw) => raw.includes('"success":'));
    const rest = startBybit({ instruments: 3, rate: 1 });
    const sockets = new Set<Bun.ServerWebSocket<unknown>>();
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: (request, self) => (self.upgrade(request) ? undefined : new Response(null, { status: 404 })),
      websocket: {
        open: (socket) => {
          sockets.add(socket);
        },
        message: (socket, message) => {
          const { op, req_id } = z
            .object({ op: z.string(), req_id: z.string().optional() })
            .parse(JSON.parse(message.toString()));
          socket.send(JSON.stringify({ success: true, ret_msg: "", conn_id: "c", req_id: req_id ?? "", op }));
        },
      },
    });
    const cwd = scratchFolder("legacy");
    try {
      const url = `ws://127.0.0.1:${server.port}`;
      const recorder = await startRecorder({
        cwd,
        exchange: { url, restUrl: rest.restUrl },
        set: { "exchanges.bybit.ws_url": url, "exchanges.bybit.rest_url": rest.restUrl },
        args: ["--exchanges", "bybit"],
      });
      await waitFor("a connection", () => sockets.size > 0);
      const [socket] = sockets;
      for (const raw of frames) socket?.send(raw);
      socket?.send(GOOD);
      await recorder.until("the event after them", ({ total_events }) => total_events === 1);
      const { code, end } = await recorder.stop();
      expect(code).toBe(0);
      expect(end).toMatchObject({ received: 1, published: 1, holds: true });
      expect(end.frames).toMatchObject({ bybit: { undecodable: frames.length - acks.length } });
      const quarantine = join(cwd, "data/quarantine");
      const kept = readdirSync(quarantine).flatMap((name) =>
        readFileSync(join(quarantine, name), "utf8").trim().split("\n"),
      );
      const raws = kept.map((text) => z.object({ raw: z.string() }).parse(JSON.parse(text)).raw);
      expect(raws).toEqual(frames.filter((raw) => !acks.includes(raw)));
    } finally {
      await rest.stop();
      await server.stop(true);
    }
  },
);
