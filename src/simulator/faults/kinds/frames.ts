/** Faults of single frames: sent twice, swapped, damaged, or fatter than usual. */
import { type Connection, UNCOUNTED } from "../../connection.ts";
import type { Behaviour, Context } from "../behaviour.ts";
import { cutShort, damaged, invalidUtf8, noise, padded, withField } from "../damage.ts";
import { carries, type Effect, type Passing } from "../gate.ts";
import { FaultError, type FaultOf } from "../model.ts";

/** A frame that a fault made: counted nowhere. */
const strange = (passing: Passing, frame: string | Uint8Array): Passing => ({
  ...passing,
  frame,
  slot: UNCOUNTED,
  made: undefined,
});

type Next = (passing: Passing) => void;

/** What befalls frames: which connections and frames, how often, until when. */
interface Blow {
  readonly stream?: string | undefined;
  readonly share: number;
  readonly count?: number | undefined;
}

/** Puts an effect on every target, those that connect later too. */
function onAll(
  context: Context,
  make: (connection: Connection) => Effect,
): Pick<Required<Behaviour>, "start" | "opened" | "stop"> {
  const effects = new Map<Connection, Effect>();
  const meet = (connection: Connection): void => {
    const effect = make(connection);
    effects.set(connection, effect);
    context.attach(connection, effect);
  };
  return {
    start() {
      for (const connection of context.targeted) meet(connection);
    },
    opened(connection) {
      if (context.targets(connection)) meet(connection);
      return false;
    },
    stop() {
      for (const [connection, effect] of effects) {
        context.detach(connection, effect);
        context.host.flush(connection);
      }
    },
  };
}

/** Text frames that the seed chooses are given to `strike`; others pass. */
function striking(
  { stream, share, count }: Blow,
  context: Context,
  strike: (passing: Passing & { frame: string }, next: Next) => void,
): Behaviour {
  let left = count ?? Number.POSITIVE_INFINITY;
  return onAll(context, (connection) => ({
    stage: "change",
    frame(passing, next) {
      const { frame } = passing;
      const meant = typeof frame === "string" && carries(passing, context.symbol, stream);
      if (!meant || left === 0 || context.random.unit() >= share) {
        next(passing);
        return;
      }
      left--;
      context.touched(connection, passing.symbol, true);
      strike({ ...passing, frame }, next);
      if (left === 0) context.over();
    },
  }));
}

/** The same frame twice in a row: both are sent, both are counted. */
export function duplicates(fault: FaultOf<"duplicates">, context: Context): Behaviour {
  return striking(fault, context, (passing, next) => {
    next(passing);
    next(passing);
  });
}

/** Two neighbouring frames of one symbol and kind change places. */
export function reorder({ stream, share, count }: FaultOf<"reorder">, context: Context): Behaviour {
  let left = count ?? Number.POSITIVE_INFINITY;
  return onAll(context, (connection) => {
    const held = new Map<string, { passing: Passing; next: Next }>();
    return {
      stage: "change",
      frame(passing, next) {
        const key = `${passing.kind} ${passing.symbol ?? ""}`;
        const before = held.get(key);
        if (before !== undefined) {
          held.delete(key);
          next(passing);
          before.next(before.passing);
          if (left === 0 && held.size === 0) context.over();
          return;
        }
        if (!carries(passing, context.symbol, stream) || left === 0 || context.random.unit() >= share) {
          next(passing);
          return;
        }
        left--;
        context.touched(connection, passing.symbol, true);
        held.set(key, { passing, next });
      },
      end() {
        for (const { passing, next } of held.values()) next(passing);
        held.clear();
      },
    };
  });
}

/** A frame that is no JSON, instead of the good one or after it. */
export function malformed(fault: FaultOf<"malformed">, context: Context): Behaviour {
  const spoil = fault.how === "cut" ? cutShort : damaged;
  return striking(fault, context, (passing, next) => {
    if (!fault.instead) next(passing);
    next(strange(passing, spoil(passing.frame, context.random)));
  });
}

/** 10 MB: a frame of no stream, or a good one with a huge field. */
export function huge(fault: FaultOf<"huge">, context: Context): Behaviour {
  return striking(fault, context, (passing, next) => {
    if (fault.how === "padded") {
      next({ ...passing, frame: padded(passing.frame, fault.bytes) });
      return;
    }
    next(passing);
    next(strange(passing, noise(fault.bytes)));
  });
}

/** Good frames with a field more. */
export function unknownFields(fault: FaultOf<"unknown-fields">, context: Context): Behaviour {
  return striking(fault, context, (passing, next) => {
    next({ ...passing, frame: withField(passing.frame, context.random) });
  });
}

/**
 * A frame with a byte that is no UTF-8, instead of the good one or after it: as a binary frame, or (by the
 * relay) as a text frame, for which a client has to close the connection (RFC 6455, 8.1).
 */
export function badUtf8(fault: FaultOf<"invalid-utf8">, context: Context): Behaviour {
  const { wire } = context.host;
  const behaviour = striking(fault, context, (passing, next) => {
    if (!fault.instead) next(passing);
    next(strange(passing, invalidUtf8(passing.frame, context.random)));
  });
  if (fault.as === "binary") return behaviour;
  if (wire === undefined) {
    throw new FaultError("as", '"text" needs the relay: start with relay: true (--relay)');
  }
  const mark = (connection: Connection): void => wire.binaryAsText(connection, true);
  return {
    ...behaviour,
    start() {
      for (const connection of context.targeted) mark(connection);
      return behaviour.start?.();
    },
    opened(connection) {
      if (context.targets(connection)) mark(connection);
      return behaviour.opened?.(connection) ?? false;
    },
  };
}
