import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import { binance } from "../../src/exchanges/binance.ts";
import type { Answer, Exchange, Limits } from "../../src/exchanges/exchange.ts";
import { Subscriber } from "../../src/exchanges/subscriber.ts";

const ACK_TIMEOUT = 5000;
/** ms between two messages at five a second. */
const PACE = 200;
const ASKED_MAX = 5;
/** Long after everything else in these tests. */
const REFUSED_RETRY = 10_000_000;

interface Sent {
  at: number;
  method: string;
  params: string[];
  id: number;
}

/** A subscriber on a socket that is a list; time is Bun's fake timers. */
function bench(channels: readonly string[], limits: Partial<Limits> = {}) {
  const exchange: Exchange = { ...binance, limits: { ...binance.limits, ...limits } };
  const sent: Sent[] = [];
  const refused: { channels: string[]; error: string }[] = [];
  const accepted: string[][] = [];
  const subscriber = new Subscriber({
    exchange,
    channels,
    ackTimeout: ACK_TIMEOUT,
    refusedRetry: REFUSED_RETRY,
    send: (message) => sent.push({ at: performance.now(), ...(JSON.parse(message) as Omit<Sent, "at">) }),
    accepted: (list) => accepted.push([...list]),
    refused: (list, error) => refused.push({ channels: [...list], error }),
  });
  const answer = (
    id: number | null,
    error: string | null = null,
    named: string[] = [],
    standing: string[] = [],
  ) => subscriber.answered({ id, channels: named, error, standing } satisfies Answer);
  return { subscriber, sent, refused, accepted, answer };
}

const names = (count: number, prefix = "c") => Array.from({ length: count }, (_, i) => `${prefix}${i}`);
const pass = (ms: number) => jest.advanceTimersByTime(ms);

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

describe("asking", () => {
  test("all channels once, at most so many a message, the first at once", () => {
    const { subscriber, sent } = bench(names(450));
    subscriber.start();
    expect(sent.length).toBe(1);
    pass(2000);
    expect(sent.map(({ params }) => params.length)).toEqual([100, 100, 100, 100, 50]);
    expect(sent.flatMap(({ params }) => params)).toEqual(names(450));
    expect(new Set(sent.map(({ id }) => id)).size).toBe(5);
    expect(sent.every(({ method }) => method === "SUBSCRIBE")).toBe(true);
    subscriber.stop();
  });

  test("never two messages closer than the pace, whatever happens meanwhile", () => {
    const { subscriber, sent, answer } = bench(names(1000));
    subscriber.start();
    for (let step = 0; step < 600; step++) {
      pass(37);
      const last = sent.at(-1);
      if (step % 3 === 0 && last !== undefined) answer(last.id, step % 9 === 0 ? "busy" : null);
      if (step % 50 === 0) subscriber.update([`new${step}`], [`c${step}`]);
    }
    expect(sent.length).toBeGreaterThan(20);
    for (let i = 1; i < sent.length; i++) expect(sent[i].at - sent[i - 1].at).toBeGreaterThanOrEqual(PACE);
    subscriber.stop();
  });

  test("after all answers it is quiet for ever, and holds no timer", () => {
    const { subscriber, sent, refused, answer } = bench(names(150));
    subscriber.start();
    pass(PACE);
    for (const { id } of [...sent]) answer(id);
    pass(PACE * 2);
    expect(jest.getTimerCount()).toBe(0);
    pass(ACK_TIMEOUT * 20);
    expect(sent.length).toBe(2);
    expect(refused).toEqual([]);
  });

  test("no more messages in an hour than a socket may have; what is left over follows, and a new socket begins anew", () => {
    const hour = 3_600_000;
    const { subscriber, sent } = bench(names(250), { messagesPerHour: 4 });
    subscriber.start();
    pass(1000);
    for (let id = 1; id <= 3; id++) subscriber.answered({ id, channels: [], error: null });
    // One message is left: with it the channel could be given up, and not be asked for again until the hour is over.
    subscriber.renew(["c7"]);
    pass(hour / 2);
    expect(sent.map(({ method }) => method)).toEqual(["SUBSCRIBE", "SUBSCRIBE", "SUBSCRIBE"]);
    expect(subscriber.settled).toBe(false);
    pass(hour / 2 + 1000);
    expect(sent.slice(3).map(({ method, params }) => [method, params])).toEqual([
      ["UNSUBSCRIBE", ["c7"]],
      ["SUBSCRIBE", ["c7"]],
    ]);
    // What is given up for good needs one message only, and what is asked for anew as well.
    subscriber.answered({ id: 5, channels: [], error: null });
    subscriber.update([], ["c8"]);
    pass(1000);
    subscriber.update(["new"], []);
    pass(1000);
    expect(sent.slice(5).map(({ method, params }) => [method, params])).toEqual([
      ["UNSUBSCRIBE", ["c8"]],
      ["SUBSCRIBE", ["new"]],
    ]);
    subscriber.start();
    pass(1000);
    expect(sent.length).toBe(10);
  });

  test("no channels, no message", () => {
    const { subscriber, sent } = bench([]);
    subscriber.start();
    pass(60_000);
    expect([sent.length, jest.getTimerCount()]).toEqual([0, 0]);
  });
});

describe("answers that do not come", () => {
  test("are asked for again, only those, under a new number", () => {
    const { subscriber, sent, refused, answer } = bench(names(200));
    subscriber.start();
    pass(PACE);
    answer(sent[0].id);
    pass(ACK_TIMEOUT + 2 * PACE);
    expect(sent.length).toBe(3);
    expect(sent[2].params).toEqual(names(200).slice(100));
    expect(sent[2].id).not.toBe(sent[1].id);
    answer(sent[2].id);
    pass(ACK_TIMEOUT * 10);
    expect(sent.length).toBe(3);
    expect(refused).toEqual([]);
  });

  test("are given up after a bound, with the channels named", () => {
    const { subscriber, sent, refused } = bench(names(3));
    subscriber.start();
    pass(ACK_TIMEOUT * 30);
    expect(sent.length).toBe(ASKED_MAX);
    expect(refused).toEqual([{ channels: names(3), error: `no answer after ${ASKED_MAX} attempts` }]);
    // Nothing waits but the one retry of what was refused.
    expect(jest.getTimerCount()).toBe(1);
  });

  test("a late answer to an older message, or to none of ours, harms nothing", () => {
    const { subscriber, sent, refused, answer } = bench(names(2));
    subscriber.start();
    pass(ACK_TIMEOUT + 2 * PACE);
    expect(sent.length).toBe(2);
    answer(sent[0].id);
    answer(4711);
    answer(null);
    answer(sent[1].id);
    answer(sent[1].id);
    pass(ACK_TIMEOUT * 10);
    expect(sent.length).toBe(2);
    expect(refused).toEqual([]);
  });
});

describe("refusals", () => {
  test("for channels that are subscribed already are none: the others of the message are asked for again", () => {
    const { subscriber, sent, refused, answer } = bench(names(3));
    subscriber.start();
    answer(sent[0].id, "error:already subscribed,topic:c1", [], ["c1"]);
    pass(2 * PACE);
    expect(sent[1].params).toEqual(["c0", "c2"]);
    answer(sent[1].id);
    pass(10 * PACE);
    expect([sent.length, refused, jest.getTimerCount()]).toEqual([2, [], 0]);
  });

  test("are not for ever: refused channels are asked for again, those given up meanwhile are not", () => {
    const { subscriber, sent, refused, answer } = bench(names(3));
    subscriber.start();
    answer(sent[0].id, "too many requests");
    pass(10 * PACE);
    for (const { id, params } of sent.slice(1)) if (params.length > 1) answer(id, "too many requests");
    pass(10 * PACE);
    for (const { id, params } of sent.slice(1)) if (params.length === 1) answer(id, "too many requests");
    pass(10 * PACE);
    expect(refused.flatMap(({ channels }) => channels).sort()).toEqual(names(3));
    subscriber.update([], ["c1"]);
    const before = sent.length;
    pass(REFUSED_RETRY + 10 * PACE);
    const again = sent.slice(before).filter(({ method }) => method === "SUBSCRIBE");
    expect(again.flatMap(({ params }) => params).sort()).toEqual(["c0", "c2"]);
    subscriber.stop();
    expect(jest.getTimerCount()).toBe(0);
  });

  test("without a number or a channel are passed on in the exchange's words", () => {
    const { subscriber, refused, answer } = bench(names(2));
    subscriber.start();
    answer(null, "Too many requests (code -1003)");
    expect(refused).toEqual([{ channels: [], error: "Too many requests (code -1003)" }]);
    subscriber.stop();
  });

  test("without a number, of a whole message: the bad channel is found by halves, all others get subscribed", () => {
    const channels = [...names(41), "bad", ...names(58, "d")];
    const { subscriber, sent, refused, answer } = bench(channels);
    const subscribed = new Set<string>();
    subscriber.start();
    // As long as anything is asked for that is not the bad one alone.
    for (let answered = 0; answered < sent.length; answered++) {
      const { id, params } = sent[answered];
      if (params.includes("bad")) answer(null, "Invalid symbol (code -1121)");
      else {
        for (const channel of params) subscribed.add(channel);
        answer(id);
      }
      pass(PACE);
    }
    expect([...subscribed].sort()).toEqual(channels.filter((channel) => channel !== "bad").sort());
    expect(sent.length).toBeLessThanOrEqual(2 * Math.ceil(Math.log2(100)) + 2);
    // The words are told each time, the channel when it is known.
    pass(ACK_TIMEOUT * 10);
    expect(new Set(refused.map(({ error }) => error))).toEqual(
      new Set(["Invalid symbol (code -1121)", `no answer after ${ASKED_MAX} attempts`]),
    );
    expect(refused.at(-1)).toEqual({ channels: ["bad"], error: `no answer after ${ASKED_MAX} attempts` });
    subscriber.stop();
  });

  test("without a number, of something else: what was in force stays so, and all channels are accepted in the end", () => {
    const { subscriber, sent, refused, accepted, answer } = bench(names(4));
    subscriber.start();
    answer(null, "unknown request (code 3)");
    answer(sent[0].id);
    pass(3 * PACE);
    for (const { id } of sent.slice(1)) answer(id);
    expect(accepted.flat().sort()).toEqual(names(4));
    expect(refused).toEqual([{ channels: [], error: "unknown request (code 3)" }]);
    pass(ACK_TIMEOUT * 10);
    expect(sent.length).toBe(3);
  });

  test("of one channel name it and do not come again", () => {
    const { subscriber, sent, refused, answer } = bench(["bad"]);
    subscriber.start();
    answer(sent[0].id, "Invalid symbol. (code -1121)");
    pass(ACK_TIMEOUT * 10);
    expect(sent.length).toBe(1);
    expect(refused).toEqual([{ channels: ["bad"], error: "Invalid symbol. (code -1121)" }]);
  });

  test("of a whole message: the bad channel is found by halves, all others get subscribed", () => {
    const channels = [...names(41), "bad", ...names(58, "d")];
    const { subscriber, sent, refused, answer } = bench(channels);
    const subscribed = new Set<string>();
    subscriber.start();
    for (let answered = 0; answered < sent.length; answered++) {
      const { id, params } = sent[answered];
      if (params.includes("bad")) answer(id, "Invalid symbol");
      else {
        for (const channel of params) subscribed.add(channel);
        answer(id);
      }
      pass(PACE);
    }
    expect(refused).toEqual([{ channels: ["bad"], error: "Invalid symbol" }]);
    expect([...subscribed].sort()).toEqual(channels.filter((channel) => channel !== "bad").sort());
    expect(sent.length).toBeLessThanOrEqual(2 * Math.ceil(Math.log2(100)) + 2);
    pass(PACE * 2);
    // Nothing waits but the one retry of what was refused.
    expect(jest.getTimerCount()).toBe(1);
  });

  test("that name a bad channel: the rest is asked for without it", () => {
    const { subscriber, sent, refused, answer } = bench(["a", "bad", "b"]);
    subscriber.start();
    answer(sent[0].id, "no such channel", ["bad"]);
    pass(PACE);
    expect(refused).toEqual([{ channels: ["bad"], error: "no such channel" }]);
    expect(sent.at(-1)?.params).toEqual(["a", "b"]);
    subscriber.stop();
  });

  test("that name a channel nobody asked for do not make it ask for ever", () => {
    const { subscriber, sent, answer } = bench(names(8));
    subscriber.start();
    for (let answered = 0; answered < sent.length && answered < 200; answered++) {
      answer(sent[answered].id, "no such channel", ["C0"]);
      pass(PACE);
    }
    pass(ACK_TIMEOUT * 20);
    expect(sent.length).toBeLessThan(60);
    // Nothing waits but the one retry of what was refused.
    expect(jest.getTimerCount()).toBe(1);
  });

  test("in words as long as a frame are told as far as anybody reads, and names nobody asked for are not kept", () => {
    const { subscriber, refused, answer } = bench(names(3));
    subscriber.start();
    const long = "x".repeat(1_000_000);
    answer(
      null,
      long,
      Array.from({ length: 5000 }, () => long),
    );
    expect(refused.length).toBe(1);
    expect(JSON.stringify(refused).length).toBeLessThan(200_000);
    expect(refused[0].error).toStartWith("xxx");
    // No retry of them waits; the timer of the messages is the only one.
    expect(jest.getTimerCount()).toBe(1);
    subscriber.stop();
  });

  test("where each channel is answered by itself: what is not named is waited for", () => {
    const { subscriber, sent, refused, answer } = bench(["a", "bad", "b"], { failsWhole: false });
    subscriber.start();
    answer(null, null, ["a"]);
    answer(null, "no such channel", ["bad"]);
    pass(ACK_TIMEOUT + 2 * PACE);
    expect(sent.map(({ params }) => params)).toEqual([["a", "bad", "b"], ["b"]]);
    answer(null, null, ["b"]);
    pass(ACK_TIMEOUT * 10);
    expect(sent.length).toBe(2);
    expect(refused).toEqual([{ channels: ["bad"], error: "no such channel" }]);
  });
});

describe("life of a socket", () => {
  test("stop ends all asking; start on the next socket asks for everything anew", () => {
    const { subscriber, sent, refused, answer } = bench(names(150));
    subscriber.start();
    subscriber.stop();
    pass(ACK_TIMEOUT * 10);
    expect([sent.length, refused.length, jest.getTimerCount()]).toEqual([1, 0, 0]);
    const old = sent[0].id;
    sent.length = 0;
    subscriber.start();
    pass(PACE);
    expect(sent.flatMap(({ params }) => params)).toEqual(names(150));
    // The ack of the old socket's message must not count for the new one.
    expect(sent.map(({ id }) => id)).not.toContain(old);
    answer(old);
    pass(ACK_TIMEOUT + 3 * PACE);
    expect(sent.length).toBeGreaterThan(2);
    subscriber.stop();
  });

  test("update takes up and gives up channels without touching the rest", () => {
    const { subscriber, sent, answer } = bench(["a", "b"]);
    subscriber.start();
    answer(sent[0].id);
    pass(PACE * 3);
    subscriber.update(["c"], ["a"]);
    pass(PACE * 3);
    expect(sent.slice(1).map(({ method, params }) => ({ method, params }))).toEqual([
      { method: "UNSUBSCRIBE", params: ["a"] },
      { method: "SUBSCRIBE", params: ["c"] },
    ]);
    expect([...subscriber.channels].sort()).toEqual(["b", "c"]);
    subscriber.stop();
    sent.length = 0;
    subscriber.start();
    expect(sent[0].params.sort()).toEqual(["b", "c"]);
    subscriber.stop();
  });

  test("what is given up before its answer came is not asked for again", () => {
    const { subscriber, sent, refused } = bench(["a", "b"]);
    subscriber.start();
    subscriber.update([], ["a"]);
    pass(ACK_TIMEOUT + 3 * PACE);
    expect(sent.filter(({ method }) => method === "SUBSCRIBE").at(-1)?.params).toEqual(["b"]);
    subscriber.update([], ["b"]);
    pass(ACK_TIMEOUT * 30);
    expect(refused).toEqual([]);
    expect(jest.getTimerCount()).toBe(0);
  });

  test("an update while there is no socket is taken up by the next start", () => {
    const { subscriber, sent } = bench(["a"]);
    subscriber.update(["b"], ["a"]);
    pass(1000);
    expect(sent).toEqual([]);
    subscriber.start();
    expect(sent[0].params).toEqual(["b"]);
    subscriber.stop();
  });
});

describe("what is accepted is told", () => {
  test("a whole message: all its channels, once", () => {
    const { subscriber, sent, accepted, answer } = bench(names(150));
    subscriber.start();
    pass(PACE);
    expect(accepted).toEqual([]);
    answer(sent[1].id);
    expect(accepted).toEqual([names(150).slice(100)]);
    answer(sent[0].id);
    answer(sent[0].id);
    answer(4711);
    answer(null);
    expect(accepted).toEqual([names(150).slice(100), names(100)]);
    subscriber.stop();
  });

  test("channel by channel, where each has its own answer", () => {
    const { subscriber, sent, accepted, refused, answer } = bench(["a", "b", "bad"], { failsWhole: false });
    subscriber.start();
    answer(sent[0].id, null, ["b"]);
    answer(sent[0].id, "no such channel", ["bad"]);
    expect([accepted, subscriber.settled]).toEqual([[["b"]], false]);
    answer(null, null, ["a"]);
    expect([accepted, subscriber.settled]).toEqual([[["b"], ["a"]], true]);
    expect(refused.map(({ channels }) => channels)).toEqual([["bad"]]);
    subscriber.stop();
  });

  test("channels that stood already: their message failed, and yet they deliver", () => {
    const { subscriber, sent, accepted, answer } = bench(names(3));
    subscriber.start();
    answer(sent[0].id, "error:already subscribed,topic:c1", [], ["c1"]);
    expect(accepted).toEqual([["c1"]]);
    pass(2 * PACE);
    answer(sent[1].id);
    expect(accepted).toEqual([["c1"], ["c0", "c2"]]);
  });

  test("a refused channel when it is accepted at last, and not before", () => {
    const { subscriber, sent, accepted, answer } = bench(["late"]);
    subscriber.start();
    answer(sent[0].id, "too many requests");
    pass(REFUSED_RETRY + PACE);
    expect(accepted).toEqual([]);
    answer(sent[1].id);
    expect(accepted).toEqual([["late"]]);
    pass(2 * PACE);
    expect(jest.getTimerCount()).toBe(0);
  });

  test("a channel that another message asked for is not, and is asked for again", () => {
    const { subscriber, sent, accepted, answer } = bench(["a", "b", "c"], {
      failsWhole: false,
      channelsPerMessage: 2,
    });
    subscriber.start();
    pass(PACE);
    expect(sent.map(({ params }) => params)).toEqual([["a", "b"], ["c"]]);
    answer(sent[0].id, null, ["c"]);
    answer(sent[0].id, null, ["a"]);
    expect(accepted).toEqual([["a"]]);
    pass(ACK_TIMEOUT + 2 * PACE);
    expect(sent.slice(2).map(({ params }) => params)).toEqual([["b"], ["c"]]);
    subscriber.stop();
  });

  test("a channel given up meanwhile is not", () => {
    const { subscriber, sent, accepted, answer } = bench(["a", "b"]);
    subscriber.start();
    subscriber.update([], ["a"]);
    answer(sent[0].id);
    expect(accepted).toEqual([["b"]]);
    subscriber.stop();
  });
});

describe("settled: every channel has had its answer", () => {
  test("not before the start, not while any answer is out, not after the stop", () => {
    const { subscriber, sent, answer } = bench(names(150));
    expect(subscriber.settled).toBe(false);
    subscriber.start();
    expect(subscriber.settled).toBe(false);
    // The second message waits for its turn: the answer to the first is not all.
    answer(sent[0].id);
    expect(subscriber.settled).toBe(false);
    pass(PACE);
    expect(subscriber.settled).toBe(false);
    answer(sent[1].id);
    expect(subscriber.settled).toBe(true);
    subscriber.stop();
    expect(subscriber.settled).toBe(false);
    subscriber.start();
    expect(subscriber.settled).toBe(false);
    subscriber.stop();
  });

  test("not while a channel is asked for again", () => {
    const { subscriber, sent, answer } = bench(names(3));
    subscriber.start();
    for (let attempt = 0; attempt < 3; attempt++) {
      pass(ACK_TIMEOUT + PACE);
      expect(subscriber.settled).toBe(false);
    }
    answer(sent.at(-1)?.id ?? null);
    expect(subscriber.settled).toBe(true);
    subscriber.stop();
  });

  test("not while a failed message is taken apart", () => {
    const { subscriber, sent, answer } = bench(["a", "bad", "b", "c"]);
    subscriber.start();
    for (let answered = 0; answered < sent.length; answered++) {
      const { id, params } = sent[answered];
      expect(subscriber.settled).toBe(false);
      answer(id, params.includes("bad") ? "Invalid symbol" : null);
      pass(PACE);
    }
    // A refusal is an answer.
    expect(subscriber.settled).toBe(true);
    subscriber.stop();
  });

  test("anew with every update, at once with nothing to ask for", () => {
    const { subscriber, sent, answer } = bench([]);
    subscriber.start();
    expect(subscriber.settled).toBe(true);
    subscriber.update(["a", "b"], []);
    expect(subscriber.settled).toBe(false);
    // What is given up need not be answered any more.
    subscriber.update([], ["a", "b"]);
    expect(subscriber.settled).toBe(true);
    pass(2 * PACE);
    subscriber.update(["c"], []);
    pass(PACE);
    expect(subscriber.settled).toBe(false);
    answer(sent.at(-1)?.id ?? null);
    expect(subscriber.settled).toBe(true);
    subscriber.stop();
  });
});

describe("renewal", () => {
  const said = (sent: readonly Sent[]) => sent.map(({ method, params }) => `${method} ${params.join()}`);

  test("gives up and takes up again, in this order, on the same socket; the rest is not touched", () => {
    const { subscriber, sent, accepted, answer } = bench(["a", "b", "c"]);
    subscriber.start();
    answer(sent[0].id);
    pass(2 * PACE);
    subscriber.renew(["b"]);
    expect(subscriber.settled).toBe(false);
    pass(2 * PACE);
    expect(said(sent.slice(1))).toEqual(["UNSUBSCRIBE b", "SUBSCRIBE b"]);
    expect(sent[2].at - sent[1].at).toBeGreaterThanOrEqual(PACE);
    expect([...subscriber.channels]).toEqual(["a", "b", "c"]);
    // The answer to the unsubscription is not that to the subscription.
    answer(sent[1].id);
    expect([subscriber.settled, accepted.length]).toEqual([false, 1]);
    answer(sent[2].id);
    expect([subscriber.settled, accepted]).toEqual([true, [["a", "b", "c"], ["b"]]]);
    pass(2 * PACE);
    expect(jest.getTimerCount()).toBe(0);
  });

  test("never of channels it does not carry", () => {
    const { subscriber, sent, answer } = bench(["a"]);
    subscriber.start();
    answer(sent[0].id);
    subscriber.renew(["gone", "a", "other"]);
    pass(3 * PACE);
    expect(said(sent.slice(1))).toEqual(["UNSUBSCRIBE a", "SUBSCRIBE a"]);
    answer(sent[2].id);
    subscriber.renew(["gone"]);
    pass(ACK_TIMEOUT * 2);
    expect([sent.length, subscriber.settled, jest.getTimerCount()]).toEqual([3, true, 0]);
  });

  test("of a channel that still waits asks once, and the old answer is not taken for the new one", () => {
    const { subscriber, sent, accepted, answer } = bench(["a", "b"]);
    subscriber.start();
    subscriber.renew(["a"]);
    answer(sent[0].id);
    expect(accepted.flat()).toEqual(["b"]);
    pass(3 * PACE);
    expect(said(sent.slice(1))).toEqual(["UNSUBSCRIBE a", "SUBSCRIBE a"]);
    answer(sent[2].id);
    expect([accepted.flat(), subscriber.settled]).toEqual([["b", "a"], true]);
    pass(ACK_TIMEOUT * 3);
    expect(sent.length).toBe(3);
  });

  test("that is not answered is asked for again, that of a channel given up meanwhile is not", () => {
    const { subscriber, sent, refused, answer } = bench(["a", "b"]);
    subscriber.start();
    answer(sent[0].id);
    subscriber.renew(["a", "b"]);
    pass(3 * PACE);
    subscriber.update([], ["a"]);
    pass(ACK_TIMEOUT + 2 * PACE);
    expect(said(sent.slice(1))).toEqual(["UNSUBSCRIBE a,b", "SUBSCRIBE a,b", "UNSUBSCRIBE a", "SUBSCRIBE b"]);
    answer(sent[4].id);
    pass(ACK_TIMEOUT * 2);
    expect([sent.length, refused]).toEqual([5, []]);
  });

  test("without a socket does nothing: the next one asks for everything anyway", () => {
    const { subscriber, sent } = bench(["a"]);
    subscriber.renew(["a"]);
    pass(1000);
    expect(sent).toEqual([]);
    subscriber.start();
    pass(1000);
    expect(said(sent)).toEqual(["SUBSCRIBE a"]);
    subscriber.stop();
  });

  test("of many channels keeps to the size of a message", () => {
    const { subscriber, sent, answer } = bench(names(150));
    subscriber.start();
    pass(PACE);
    for (const { id } of [...sent]) answer(id);
    subscriber.renew(names(150));
    pass(10 * PACE);
    expect(sent.slice(2).map(({ method, params }) => [method, params.length])).toEqual([
      ["UNSUBSCRIBE", 100],
      ["UNSUBSCRIBE", 50],
      ["SUBSCRIBE", 100],
      ["SUBSCRIBE", 50],
    ]);
    subscriber.stop();
  });
});
