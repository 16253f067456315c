/** Faults, or rather events, of the exchange itself: its clock, its list of instruments. */
import type { Behaviour, Context } from "../behaviour.ts";
import { FaultError, type FaultOf } from "../model.ts";

/** All times that the exchange tells jump, and back again at its end. */
export function clockStep({ byMs }: FaultOf<"clock-step">, { host }: Context): Behaviour {
  const { clock } = host;
  if (clock === undefined) throw new FaultError("kind", "the times of a replay are those of its file");
  const step = (by: number): void => {
    clock.offsetMs += by;
    host.clockStepped?.();
  };
  return { start: () => step(byMs), stop: () => step(-byMs) };
}

/** The next instrument that waits is listed. */
export function list(_fault: FaultOf<"list">, context: Context): Behaviour {
  const { host } = context;
  if (host.list === undefined) throw new FaultError("kind", "a replay has the instruments of its file");
  return {
    start() {
      let symbol: string | undefined;
      try {
        symbol = host.list?.();
      } catch (error) {
        throw new FaultError("kind", error instanceof Error ? error.message : String(error));
      }
      context.touched(undefined, symbol);
      context.over();
    },
  };
}

/** An instrument is taken off the list. */
export function delist(_fault: FaultOf<"delist">, context: Context): Behaviour {
  const { host, symbol } = context;
  if (host.delist === undefined) throw new FaultError("kind", "a replay has the instruments of its file");
  return {
    start() {
      if (symbol !== undefined) host.delist?.(symbol);
      context.touched(undefined, symbol);
      context.over();
    },
  };
}
