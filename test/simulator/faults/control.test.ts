import { describe, expect, test } from "bun:test";
import { z } from "zod";
import { readFaults, writeFault } from "../../../src/simulator/faults/grammar.ts";
import {
  FAULT_KINDS,
  FaultError,
  type FaultInput,
  type FaultKind,
  parseFault,
} from "../../../src/simulator/faults/model.ts";
import { until } from "../client.ts";
import { eventsOf, FACES, type Face, SEED, start, subscriber } from "./exchanges.ts";

console.log(`control of faults: seed ${SEED}`);

/** The field that an error names. */
function fieldOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof FaultError) return error.field;
    throw error;
  }
  return "no error";
}

test("a wrong fault names its field, and what is wanted", () => {
  const wrong: readonly (readonly [unknown, string])[] = [
    [{ kind: "silent" }, "kind"],
    [{}, "kind"],
    [{ kind: "silence", forMs: -1 }, "forMs"],
    [{ kind: "silence", forMs: "5s" }, "forMs"],
    [{ kind: "silence", share: 0.5 }, "share"],
    [{ kind: "refuse" }, "forMs"],
    [{ kind: "drip", share: 1.5 }, "share"],
    [{ kind: "close", code: 1005 }, "code"],
    [{ kind: "close", connections: "some" }, "connections"],
    [{ kind: "close", connections: [] }, "connections"],
    [{ kind: "clock-step", byMs: 0 }, "byMs"],
    [{ kind: "huge", bytes: 1e12 }, "bytes"],
  ];
  for (const [fault, field] of wrong)
    expect(
      fieldOf(() => parseFault(fault)),
      JSON.stringify(fault),
    ).toBe(field);
  expect(() => parseFault({ kind: "silent" })).toThrow("half-open");
  expect(() => parseFault({ kind: "silence", share: 1 })).toThrow("silence has no such field; it has");
  expect(() => parseFault(null)).toThrow(FaultError);
});

test("the command line's words say the same as JSON", () => {
  expect(readFaults("silence for=5s at=10s")).toEqual([
    parseFault({ kind: "silence", forMs: 5000, afterMs: 10_000 }),
  ]);
  expect(readFaults("drip share=0.5 connections=1,2; refuse for=500ms cut=no ;")).toEqual([
    parseFault({ kind: "drip", share: 0.5, connections: [1, 2] }),
    parseFault({ kind: "refuse", forMs: 500, cut: false }),
  ]);
  expect(readFaults("clock-step by=-2s; huge bytes=2MB; 429 retry-after=2m; silence sticky")).toEqual([
    parseFault({ kind: "clock-step", byMs: -2000 }),
    parseFault({ kind: "huge", bytes: 2_000_000 }),
    parseFault({ kind: "429", retryAfterS: 120 }),
    parseFault({ kind: "silence", sticky: true }),
  ]);
  for (const [line, word] of [
    ["", "a fault is wanted"],
    ["noise", "noise is no fault"],
    ["refuse", "refuse: for: is missing"],
    ["silence for=soon", "silence: for: a time such as"],
    ["silence foo=1", "silence: has no foo; it has at, for, "],
    ["silence for", "silence: for: "],
    ["silence for=1s for=2s", "for stands there twice"],
    ["drip share=2", "drip: share: "],
    ["duplicates sticky", "duplicates: has no sticky"],
  ] as const) {
    expect(() => readFaults(line), line).toThrow(word);
  }
});

describe.each(FACES.map((face) => [face.name, face] as const))("%s", (_, face) => {
  test("over HTTP: injected, listed with exact times and whom it met, ended, refused by field", async () => {
    const exchange = start(face);
    const url = `${exchange.restUrl}/sim/faults`;
    const peer = await subscriber(face, exchange, face.book);
    await peer.more(3);
    const record = z.strictObject({
      id: z.int(),
      fault: z.looseObject({ kind: z.string() }),
      state: z.enum(["waiting", "active", "past", "failed"]),
      injectedUs: z.int(),
      startedUs: z.int().nullable(),
      endedUs: z.int().nullable(),
      connections: z.array(z.int()),
      symbols: z.array(z.string()),
      frames: z.int(),
      error: z.string().nullable(),
    });
    const post = (body: unknown) =>
      fetch(url, { method: "POST", body: typeof body === "string" ? body : JSON.stringify(body) });
    const before = Date.now() * 1000;
    const answer = await post({ kind: "silence", symbol: face.btc });
    expect(answer.status).toBe(201);
    expect(record.parse(await answer.json())).toMatchObject({ id: 1, state: "active", symbols: [face.btc] });
    await post({ kind: "drip", afterMs: 60_000 });
    const list = async () => z.array(record).parse(await (await fetch(url)).json());
    await until(() => exchange.faults.list()[0]?.frames !== 0, "a withheld frame");
    expect(await list()).toMatchObject([
      { id: 1, state: "active", connections: [1], endedUs: null },
      { id: 2, state: "waiting", startedUs: null },
    ]);
    await fetch(`${url}/1`, { method: "DELETE" });
    const [first] = await list();
    expect(first?.state).toBe("past");
    expect(first?.startedUs).toBeGreaterThan(before - 1_000_000);
    expect(first?.endedUs).toBeGreaterThan(first?.startedUs ?? 0);
    expect((await fetch(`${url}/1`, { method: "DELETE" })).status).toBe(404);
    await fetch(url, { method: "DELETE" });
    expect((await list()).map(({ state }) => state)).toEqual(["past", "past"]);

    const failure = z.strictObject({ error: z.string(), field: z.string() });
    for (const [body, field] of [
      [{ kind: "silence", symbol: "NOSUCH" }, "symbol"],
      [{ kind: "silence", stream: "nosuch" }, "stream"],
      [{ kind: "silence", connections: 99 }, "connections"],
      [{ kind: "half-open" }, "kind"],
      ["{", ""],
    ] as const) {
      const refused = await post(body);
      expect(refused.status).toBe(400);
      const { error, field: named } = failure.parse(await refused.json());
      expect([named, error !== ""]).toEqual([field, true]);
    }
    expect((await fetch(url, { method: "PUT" })).status).toBe(405);
    expect((await list()).length).toBe(2);
  });

  test("the same seed chooses the same symbol and connection, another seed others", async () => {
    const choices = async (seed: number): Promise<unknown> => {
      const exchange = start(face, { seed });
      for (let i = 0; i < 6; i++) await subscriber(face, exchange, face.book);
      const picks = [];
      for (let i = 0; i < 8; i++) {
        const { record, end } = exchange.faults.inject({
          kind: "silence",
          connections: "one",
          symbol: "one",
        });
        end();
        picks.push([record.connections, record.symbols]);
      }
      return picks;
    };
    const first = await choices(SEED);
    expect(await choices(SEED)).toEqual(first);
    expect(await choices(SEED + 1)).not.toEqual(first);
  });

  test("every kind at once and a stop amid it: all ends, and nothing hangs", async () => {
    const exchange = start(face, { relay: true, waiting: 2, preLaunch: 2 } as object);
    const peer = await subscriber(face, exchange, face.book);
    await peer.more(3);
    const needed: Partial<Record<FaultKind, object>> = {
      refuse: { forMs: 60_000 },
      "clock-step": { byMs: 1000 },
      drip: { forMs: 60_000 },
    };
    const injected = FAULT_KINDS.map((kind) =>
      exchange.faults.inject({ kind, ...needed[kind] } as FaultInput),
    );
    await Bun.sleep(50);
    const began = performance.now();
    await exchange.stop();
    await Promise.all(injected.map(({ ended }) => ended));
    // It waits for none of those that last a minute.
    expect(performance.now() - began).toBeLessThan(50_000);
    expect(injected.map(({ record }) => record.state)).toEqual(FAULT_KINDS.map(() => "past"));
    expect(await peer.closed).toBeGreaterThan(0);
  }, 180_000);

  test("random faults come from the seed, can be written and read, and are over before the next", async () => {
    const draw = async (seed: number): Promise<string[]> => {
      const exchange = start(face, { seed, relay: true });
      const texts: string[] = [];
      const overlapping: number[] = [];
      // Far enough apart that a machine with much else to do keeps them so.
      exchange.faults.every(
        120,
        ({ record }) => {
          texts.push(writeFault(record.fault));
          if (exchange.faults.list().some(({ id, state }) => state === "active" && id < record.id)) {
            overlapping.push(record.id);
          }
        },
        { skipped: (fault) => texts.push(writeFault(fault)) },
      );
      await until(() => texts.length >= 12, "twelve faults");
      expect(overlapping).toEqual([]);
      for (const text of texts) expect(readFaults(text).map(writeFault)).toEqual([text]);
      return texts.slice(0, 12);
    };
    const first = await draw(SEED);
    expect(await draw(SEED)).toEqual(first);
    expect(new Set(first.map((text) => text.split(" ")[0])).size).toBeGreaterThan(4);
  }, 180_000);
});

test("under random faults every event is sent or missed, and what was sent is what came", async () => {
  // What a client must see again whatever happened: the account against the client's own list.
  const face = FACES[2] as Face;
  const exchange = start(face, { relay: true, rate: 2000 });
  const kinds: FaultKind[] = ["silence", "drip", "close", "reorder", "duplicates", "malformed", "pings-only"];
  const met: string[] = [];
  const stop = exchange.faults.every(150, ({ record }) => met.push(record.fault.kind), { kinds });
  const peers = [];
  while (met.length < 12) {
    const peer = await subscriber(face, exchange, face.trade, undefined, false);
    peers.push(peer);
    await Promise.race([peer.closed, until(() => met.length >= 12, "twelve faults")]);
  }
  stop();
  await exchange.faults.endAll();
  await exchange.pause();
  const events = [...(exchange.account?.events({ kind: face.trade }) ?? [])];
  for (const [i, peer] of peers.entries()) {
    const sent = events.flatMap(({ id, sent: takers }) =>
      takers.filter((taker) => taker === i + 1).map(() => id),
    );
    const came = () => eventsOf(face, peer).flatMap((text) => face.ids(text));
    await until(() => came().length === sent.length, `what was sent on ${i + 1}`);
    expect(came().toSorted()).toEqual(sent.toSorted());
  }
  expect(new Set(met).size).toBeGreaterThan(2);
}, 180_000);
