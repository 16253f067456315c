/** Sets its own time slice as its argument says, and prints what the system has of it, and of a thread started then. */
import { readFileSync, readlinkSync } from "node:fs";
import { setTimeSlice } from "../../src/lib/time-slice.ts";

/** What Linux says of the scheduling of a thread of this process. */
function sched(thread: string): Record<string, number> {
  const lines = readFileSync(`/proc/self/task/${thread}/sched`, "utf8").matchAll(/^(\S+) *: *(-?[\d.]+)$/gm);
  const values = Object.fromEntries([...lines].map(([, name = "", value]) => [name, Number(value)]));
  return { slice: values["se.slice"] ?? -1, policy: values.policy ?? -1, priority: values.prio ?? -1 };
}

if (Bun.isMainThread) {
  const self = String(process.pid);
  const before = sched(self);
  const answer = setTimeSlice(Number(process.argv[2]));
  const after = sched(self);
  const thread = await new Promise((resolve) => {
    const worker = new Worker(import.meta.url);
    worker.onmessage = ({ data }) => resolve(data);
  });
  console.log(JSON.stringify({ before, answer, after, thread }));
  process.exit();
} else {
  postMessage(sched(readlinkSync("/proc/thread-self").split("/").at(-1) ?? ""));
}
