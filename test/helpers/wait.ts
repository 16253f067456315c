/** Far above what anything here takes: a wait that ends this way has failed. */
export const DEADLINE = 90_000;

/** How long a wait may take (ms), and what to add to the message of a failure: the output of a process. */
interface WaitOptions {
  readonly timeout?: number;
  readonly state?: () => string;
}

const nothing = (): string => "";

/**
 * Probes until there is an answer (anything but undefined and false); fails naming what it waited for.
 *
 * @param options.every ms between two probes
 */
export async function waitFor<T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  { timeout = DEADLINE, every = 10, state = nothing }: WaitOptions & { every?: number } = {},
): Promise<T> {
  const deadline = performance.now() + timeout;
  for (;;) {
    const answer = await probe();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() > deadline)
      throw new Error(`waited ${timeout} ms in vain for: ${what}\n${state()}`);
    await Bun.sleep(every);
  }
}

/** A promise that must settle in time; fails naming what it waited for. */
export async function within<T>(
  what: string,
  promise: Promise<T>,
  { timeout = DEADLINE, state = nothing }: WaitOptions = {},
): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`waited ${timeout} ms in vain for: ${what}\n${state()}`)),
      timeout,
    );
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Waits until a number stays as it is over some looks, one after the other, and gives it: what was on its way has
 * arrived. Looks are counted and not time alone: a process that was paused meanwhile reads what lies there first.
 *
 * @param options.looks how many find no change
 * @param options.every ms between two looks
 */
export async function still(
  what: string,
  look: () => Promise<number> | number,
  { timeout = DEADLINE, every = 50, looks = 10, state = nothing }: WaitOptions & Looks = {},
): Promise<number> {
  let last = Number.NaN;
  let same = 0;
  const unchanged = async (): Promise<boolean> => {
    const now = await look();
    same = now === last ? same + 1 : 0;
    last = now;
    return same >= looks;
  };
  await waitFor(`an end of ${what}`, unchanged, { timeout, every, state });
  return last;
}

interface Looks {
  readonly every?: number;
  readonly looks?: number;
}
