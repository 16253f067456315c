/** A thread that asks for a shorter time slice has it, and nothing else of it or of others changes. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { z } from "zod";
import { setTimeSlice } from "../../src/lib/time-slice.ts";
import { SLICES } from "../helpers/time-slices.ts";

const NOTE = SLICES ? "" : " (SKIPPED: not Linux 6.12 or later)";

const sched = z.strictObject({ slice: z.int(), policy: z.int(), priority: z.int() });
const said = z.strictObject({ before: sched, answer: z.boolean(), after: sched, thread: sched });

/** What a process says that asked for a slice; `by` = a program that starts it. */
function asked(microseconds: number, by: readonly string[] = []): z.infer<typeof said> {
  const fixture = join(import.meta.dir, "time-slice-process.ts");
  const command = [...by, process.execPath, fixture, String(microseconds)];
  const { stdout, stderr, exitCode } = Bun.spawnSync(command, { stdin: "ignore" });
  expect({ exitCode, stderr: stderr.toString() }).toEqual({ exitCode: 0, stderr: "" });
  return said.parse(JSON.parse(stdout.toString()));
}

describe.skipIf(!SLICES)(`a time slice${NOTE}`, () => {
  test("the thread has it, by the system's own account; one that it starts has the usual one", () => {
    const { before, answer, after, thread } = asked(100);
    expect(answer).toBe(true);
    expect(before.slice).toBeGreaterThan(100_000);
    expect(after).toEqual({ ...before, slice: 100_000 });
    expect(thread).toEqual(before);
  });

  test("priority stays as it is", () => {
    const { before, answer, after } = asked(300, ["nice", "-n", "5"]);
    expect(answer).toBe(true);
    expect(after).toEqual({ ...before, slice: 300_000 });
    expect(after.priority).toBeGreaterThanOrEqual(125);
  });

  test.skipIf(Bun.which("setpriv") === null)("no privilege is needed", () => {
    // A root without capabilities; of somebody else there is nothing to be taken away.
    const by = process.getuid?.() === 0 ? ["setpriv", "--bounding-set", "-all"] : [];
    expect(asked(100, by)).toMatchObject({ answer: true, after: { slice: 100_000 } });
  });

  test.skipIf(Bun.which("chrt") === null)("a thread with another policy is left alone", () => {
    const { before, answer, after } = asked(100, ["chrt", "-b", "0"]);
    expect(before.policy).toBe(3);
    expect({ answer, after }).toEqual({ answer: false, after: before });
  });

  test("a slice that the system does not give is not claimed", () => {
    expect(asked(5).answer).toBe(false);
  });
});

test.skipIf(SLICES)("elsewhere it says no and does nothing", () => {
  expect(setTimeSlice(100)).toBe(false);
});
