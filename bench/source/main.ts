/**
 * The source of load: a process of its own that plays a tape to whoever subscribes, over plain TCP, as cheaply as it
 * can: frames are spelled before, writes are large, times and ids are changed in place.
 */
import { Clock } from "../../src/ingest/clock.ts";
import { Pacer } from "../../src/simulator/pacer.ts";
import { type Load, loadSchema, tapeSchema } from "./messages.ts";
import { type Host, Peer } from "./peer.ts";
import { instrumentsAnswer, newTradeIds, Reel, spellTape } from "./tape.ts";

/** Pause between two rounds at a rate, ms. */
const TICK = 1;
/** After a longer stall only this much is caught up, ms. */
const CATCH_UP = 250;
/** Frames of one connection in one round at full speed. */
const ROUND = 512;
/** Pause while every socket is full, ms. */
const BLOCKED = 0.2;
const CLOCK_INTERVAL = 250;
/** ms */
const NEVER = 1e12;

const options = tapeSchema.parse(JSON.parse(process.argv[2] ?? ""));
const tape = spellTape(options);
const tradeIds = newTradeIds(options.symbols);
const instruments = instrumentsAnswer(options.symbols);
const clock = new Clock();
setInterval(() => clock.discipline(), CLOCK_INTERVAL);
const peers = new Set<Peer>();
let stale = true;

const host: Host = {
  answer: (path) => (path.startsWith("/fapi/v1/exchangeInfo") ? instruments : null),
  changed() {
    stale = true;
    process.send?.({
      type: "subscribed",
      channels: [...peers].reduce((sum, one) => sum + one.channels.size, 0),
    });
  },
  left(peer) {
    peers.delete(peer);
    stale = true;
  },
  now: () => clock.now(),
};

const server = Bun.listen<Peer>({
  hostname: "127.0.0.1",
  port: 0,
  socket: {
    open(socket) {
      socket.data = new Peer(socket, host);
      peers.add(socket.data);
    },
    data: ({ data }, bytes) => data.received(bytes),
    drain: ({ data }) => data.drained(),
    close: ({ data }) => data.closed(),
    error: ({ data }) => data.closed(),
  },
});

/** Deals the frames of the tape out to those who subscribed their channels. */
function deal(): Peer[] {
  const players = [...peers].filter(({ channels }) => channels.size > 0);
  if (stale)
    for (const peer of players) {
      const own = tape.filter(({ channel }) => peer.channels.has(channel));
      peer.reel = own.length === 0 ? null : new Reel(own, tradeIds);
    }
  stale = false;
  return players.filter(({ reel }) => reel !== null);
}

function cpu(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

async function play({ rate, seconds, burst }: Load) {
  const players = deal();
  for (const peer of players) {
    peer.frames = 0;
    peer.bytes = 0;
    peer.owed = 0;
  }
  const began = performance.now();
  const cpuBefore = cpu();
  const steady = (events: number) =>
    new Pacer(
      { rate: events, burstFactor: 1, burstEveryMs: NEVER, burstLengthMs: 0, maxCatchUpMs: CATCH_UP },
      began,
    );
  const pacer = rate === "max" ? null : steady(rate);
  const extra = rate === "max" || burst === undefined ? null : steady(burst.rate - rate);
  /** What the burst owes beside the steady rate. */
  const more = (now: number): number => {
    if (extra === null || burst === undefined) return 0;
    const from = began + burst.after * 1000;
    if (now >= from && now < from + burst.seconds * 1000) return extra.due(now);
    extra.skip(now);
    return 0;
  };
  const shares = players.map(({ reel }) => (reel?.frames ?? 0) / tape.length);
  let blocked = 0;
  for (let now = began; now - began < seconds * 1000; now = performance.now()) {
    const due = pacer === null ? ROUND * players.length : pacer.due(now) + more(now);
    let stuck = true;
    for (const [i, peer] of players.entries()) {
      peer.owed += due * (shares[i] ?? 0);
      if (peer.blocked) {
        // At full speed nothing is owed: the pace is the receiver's.
        if (pacer === null) peer.owed = 0;
        continue;
      }
      stuck = false;
      peer.owed -= peer.play(Math.floor(peer.owed));
      if (pacer === null) peer.owed = Math.max(0, Math.min(1, peer.owed));
    }
    if (pacer !== null) await Bun.sleep(TICK);
    else if (stuck) {
      blocked++;
      await Bun.sleep(BLOCKED);
    } else await new Promise((resolve) => setImmediate(resolve));
  }
  while (players.some((peer) => peer.blocked && peers.has(peer))) await Bun.sleep(1);
  return {
    type: "played",
    frames: players.reduce((sum, { frames }) => sum + frames, 0),
    bytes: players.reduce((sum, { bytes }) => sum + bytes, 0),
    ms: performance.now() - began,
    cpuUs: cpu() - cpuBefore,
    skippedMs: pacer?.skippedMs ?? 0,
    blocked,
  };
}

process.on("message", (message) => {
  void play(loadSchema.parse(message)).then((played) => process.send?.(played));
});
process.on("disconnect", () => process.exit());
process.send?.({ type: "ready", port: server.port });
