/**
 * The time slice of a thread: how long it may run before another one that is ready gets its turn. Linux (6.12 and later)
 * lets a waking thread with a shorter slice interrupt one with a longer slice; without that it waits until the other one's
 * is used up, which is noticed at the next tick only: up to 4 ms. A thread may shorten its own, and gets no
 * more of the processor by it.
 */
import { dlopen, FFIType, ptr } from "bun:ffi";

/** Numbers of the system calls, which have no wrapper in older C libraries. */
const CALLS: Readonly<Record<string, { readonly set: number; readonly get: number }>> = {
  x64: { set: 314, get: 315 },
  arm64: { set: 274, get: 275 },
};
/** The C library is loaded already, under one of these names: this finds it again. */
const LIBRARIES: Readonly<Record<string, readonly string[]>> = {
  x64: ["libc.so.6", "libc.musl-x86_64.so.1"],
  arm64: ["libc.so.6", "libc.musl-aarch64.so.1"],
};
const SYMBOLS = {
  syscall: {
    args: [FFIType.i64, FFIType.i32, FFIType.ptr, FFIType.u32, FFIType.u32],
    returns: FFIType.i64,
  },
} as const;

/** `struct sched_attr`: its first size, and where its members stand. */
const SIZE = 48;
const POLICY_AT = 4;
const FLAGS_AT = 8;
const RUNTIME_AT = 24;
/** SCHED_OTHER: the scheduling of all that asked for nothing else. */
const OTHER = 0;
/** SCHED_FLAG_RESET_ON_FORK: threads that this one starts have the usual slice. */
const RESET_ON_FORK = 1n;

type Syscall = (call: number, thread: number, attributes: number, a: number, b: number) => number | bigint;

function openSyscall(): Syscall | null {
  for (const name of LIBRARIES[process.arch] ?? []) {
    try {
      const { syscall } = dlopen(name, SYMBOLS).symbols;
      return (call, thread, attributes, a, b) => syscall(call, thread, attributes as never, a, b);
    } catch {
      // Under the other name, or not at all: then the slice stays as it is.
    }
  }
  return null;
}

/**
 * Sets the time slice of the calling thread. Priority and policy stay as they are; a thread that was given another policy is left
 * alone.
 *
 * @param microseconds the kernel takes 100 to 100,000
 * @returns whether the thread has that slice now; false where the system has no such thing or does not allow it
 */
export function setTimeSlice(microseconds: number): boolean {
  const calls = process.platform === "linux" ? CALLS[process.arch] : undefined;
  const syscall = calls === undefined ? null : openSyscall();
  if (calls === undefined || syscall === null) return false;
  const bytes = new Uint8Array(SIZE);
  const attributes = new DataView(bytes.buffer);
  const address = ptr(bytes);
  const read = () => Number(syscall(calls.get, 0, address, SIZE, 0)) === 0;
  if (!read() || attributes.getUint32(POLICY_AT, true) !== OTHER) return false;
  const slice = BigInt(microseconds) * 1000n;
  attributes.setBigUint64(FLAGS_AT, RESET_ON_FORK, true);
  attributes.setBigUint64(RUNTIME_AT, slice, true);
  if (Number(syscall(calls.set, 0, address, 0, 0)) !== 0) return false;
  // Kernels before 6.12 accept it and do nothing.
  return read() && attributes.getBigUint64(RUNTIME_AT, true) === slice;
}
