/** The way to one destination: when it is taken, left alone, tried again, and how many at once. */
import { expect, test } from "bun:test";
import { DestinationError } from "../../src/storage/destinations/destination.ts";
import { LocalDestination } from "../../src/storage/destinations/local.ts";
import { Lane } from "../../src/storage/upload/lane.ts";

const FAULT = new DestinationError("away", "unreachable", false);
const lane = (random = 0.5) =>
  new Lane(new LocalDestination("/nowhere"), {
    maxInFlight: 16,
    failures: 3,
    pauseMin: 100,
    pauseMax: 400,
    random: () => random,
  });

/** Lets as many begin as may; resolves to how many. */
function fill(one: Lane, now: number): number {
  let count = 0;
  while (one.allows(now)) {
    one.begin();
    count++;
  }
  return count;
}

test("the window grows by one with each full round of successes, up to its bound", () => {
  const one = lane();
  const rounds: number[] = [];
  for (let round = 0; round < 20; round++) {
    const count = fill(one, 0);
    rounds.push(count);
    for (let n = 0; n < count; n++) one.succeeded();
  }
  expect(rounds).toEqual([2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 16, 16, 16, 16, 16]);
});

test("so many failures in a row and it is left alone, longer each time; one tries it again", () => {
  const one = lane(1);
  const told: boolean[] = [];
  for (let n = 0; n < 3; n++) {
    one.begin();
    told.push(one.failed(FAULT, 1000));
  }
  expect([told, one.state, one.opensAt]).toEqual([[false, false, true], "open", 1100]);
  let now = 1100;
  for (const pause of [200, 400, 400]) {
    expect([one.allows(now - 1), one.mayAsk(now - 1), one.mayAsk(now)]).toEqual([false, false, true]);
    expect(fill(one, now)).toBe(1);
    expect(one.state).toBe("half_open");
    expect(one.failed(FAULT, now)).toBe(false);
    expect(one.opensAt).toBe(now + pause);
    now += pause;
  }
  expect(fill(one, now)).toBe(1);
  expect(one.succeeded()).toBe(true);
  expect([one.state, one.fault, one.inFlight]).toEqual(["closed", null, 0]);
  // After that step by step.
  expect(one.window).toBeLessThanOrEqual(2);
});

test("half of a pause is certain", () => {
  const one = lane(0);
  for (let n = 0; n < 3; n++) {
    one.begin();
    one.failed(FAULT, 0);
  }
  expect(one.opensAt).toBe(50);
});

test("a success between failures begins the count anew", () => {
  const one = lane();
  for (let n = 0; n < 10; n++) {
    for (const fails of [true, true, false]) {
      one.begin();
      if (fails) one.failed(FAULT, 0);
      else one.succeeded();
    }
  }
  expect(one.state).toBe("closed");
});

test("a trial that says nothing about the destination leaves it to the next", () => {
  const one = lane();
  for (let n = 0; n < 3; n++) {
    one.begin();
    one.failed(FAULT, 0);
  }
  expect(fill(one, 1000)).toBe(1);
  one.released(1000);
  expect(fill(one, 1000)).toBe(1);
});

test("failures that come in late, from before, do not make the pause longer", () => {
  const one = lane(1);
  for (let n = 0; n < 2; n++) one.begin();
  one.failed(FAULT, 0);
  one.begin();
  one.failed(FAULT, 0);
  one.begin();
  one.failed(FAULT, 0);
  expect(one.opensAt).toBe(100);
  one.failed(FAULT, 50);
  expect([one.opensAt, one.inFlight]).toEqual([100, 0]);
});
