/** Which start of the machine this is: what a process left in memory or caches is gone with the next one. */
import { readFileSync } from "node:fs";
import { uptime } from "node:os";

/** Two reckonings of one start may differ by this much, s: a clock is set by more only where it was wrong. */
const TOLERANCE = 2;

/**
 * Names the machine's current start: by Linux's own id of it, or, where that is hidden, by when it was.
 *
 * @example "id:b5673cd0-10dd-40da-9daa-753004718a66", "at:1795132800"
 */
export function bootNow(): string {
  try {
    return `id:${readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()}`;
  } catch {
    return `at:${Math.round(Date.now() / 1000 - uptime())}`;
  }
}

/** Whether both name the same start; when in doubt, not. */
export function isSameBoot(one: string, other: string): boolean {
  if (one === other) return true;
  const [a, b] = [one, other].map((boot) => (boot.startsWith("at:") ? Number(boot.slice(3)) : Number.NaN));
  return Math.abs((a ?? Number.NaN) - (b ?? Number.NaN)) <= TOLERANCE;
}
