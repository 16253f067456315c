/** Faults that a client meets while it connects, or asks over REST. */
import type { Connection } from "../../connection.ts";
import type { Behaviour, Context } from "../behaviour.ts";
import type { FaultOf } from "../model.ts";

/** The port is closed: TCP itself refuses, REST too. */
export function refuse({ cut }: FaultOf<"refuse">, context: Context): Behaviour {
  return {
    async start() {
      await context.host.listen(false);
      if (cut) cutAll(context);
    },
    stop: () => context.host.listen(true),
  };
}

const STATUS = { unavailable: 503, "429": 429, "418": 418 } as const;

/** An HTTP status with Retry-After instead of an upgrade or an answer. */
export function httpStatus(
  { kind, on, cut, retryAfterS }: FaultOf<"unavailable" | "429" | "418">,
  context: Context,
): Behaviour {
  return {
    start: () => (cut && on !== "rest" ? cutAll(context) : undefined),
    answer(_request, upgrade) {
      if (on === (upgrade ? "rest" : "upgrade")) return undefined;
      context.touched(undefined, undefined);
      return new Response(null, {
        status: STATUS[kind],
        headers: { "retry-after": String(retryAfterS) },
      });
    },
  };
}

/** An upgrade is neither granted nor refused. REST works. */
export function hang({ cut }: FaultOf<"hang">, context: Context): Behaviour {
  const waiting = new Set<(answer: Response) => void>();
  return {
    start: () => (cut ? cutAll(context) : undefined),
    answer(_request, upgrade) {
      if (!upgrade) return undefined;
      context.touched(undefined, undefined);
      return new Promise((resolve) => waiting.add(resolve));
    },
    stop() {
      for (const resolve of waiting) resolve(new Response(null, { status: 503 }));
      waiting.clear();
    },
  };
}

/** The upgrade succeeds, and the connection is closed before anything came on it. */
export function acceptThenClose(
  { code, reason, afterOpenMs, cut }: FaultOf<"accept-then-close">,
  context: Context,
): Behaviour {
  const doomed = new WeakSet<Connection>();
  return {
    start: () => (cut ? cutAll(context) : undefined),
    opened(connection) {
      context.touched(connection, undefined);
      doomed.add(connection);
      // A close from within the open event itself would be lost on some clients.
      setTimeout(() => {
        if (connection.open) connection.close(code, reason);
      }, afterOpenMs);
      return true;
    },
    message(connection, _text, pass) {
      if (!doomed.has(connection)) pass();
    },
  };
}

/** Ends open connections. */
export function close({ code, reason }: FaultOf<"close">, context: Context): Behaviour {
  return {
    start() {
      for (const connection of context.targeted) {
        context.touched(connection, undefined);
        if (code === 1006) context.cut(connection);
        else connection.close(code, reason);
      }
      context.over();
    },
  };
}

/** Cuts those of the targets that are open and carry what the fault is narrowed to. */
export function cutAll(context: Context): void {
  for (const connection of context.targeted) {
    if (!context.concerns(connection)) continue;
    context.touched(connection, undefined);
    context.cut(connection);
  }
}
