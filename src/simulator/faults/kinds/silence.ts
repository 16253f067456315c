/** Faults that withhold: the socket is open, and the data does not come. */
import type { Connection } from "../../connection.ts";
import type { Behaviour, Context } from "../behaviour.ts";
import { brings, carries, type Effect, type Topic } from "../gate.ts";
import { FaultError, type FaultOf } from "../model.ts";
import { cutAll } from "./admission.ts";

/** Withholds all data frames; with `deaf` also answers and pings. */
function withhold(context: Context, connection: Connection, deaf: boolean): Effect {
  return {
    stage: "withhold",
    frame: ({ symbol }) => context.touched(connection, symbol, true),
    ...(deaf ? { reply: () => {}, noPings: true } : {}),
  };
}

/** Puts an effect on the targets, and keeps what is to be taken away again. */
function onTargets(context: Context, make: (connection: Connection) => Effect): () => void {
  const made = context.targeted.map((connection) => {
    const effect = make(connection);
    if (context.concerns(connection)) context.touched(connection, context.symbol);
    context.attach(connection, effect);
    return [connection, effect] as const;
  });
  return () => {
    for (const [connection, effect] of made) context.detach(connection, effect);
  };
}

/**
 * No data: of the connections that are open, or of one symbol or kind on them. Answers and pings come. Who
 * connects anew is served, and who subscribes a silent symbol anew too, unless it is sticky.
 */
export function silence({ stream, sticky }: FaultOf<"silence">, context: Context): Behaviour {
  const { symbol } = context;
  const whole = symbol === undefined && stream === undefined;
  const silent = (connection: Connection): Effect => {
    const revived = new Set<string>();
    return {
      stage: "withhold",
      frame(passing, next) {
        if (!carries(passing, symbol, stream) || revived.has(passing.kind)) next(passing);
        else context.touched(connection, passing.symbol, true);
      },
      subscribed(topic) {
        if (!sticky && !whole && brings(topic, symbol, stream)) revived.add(topic.kind);
      },
    };
  };
  let lift = (): void => {};
  const later = new Map<Connection, Effect>();
  return {
    start() {
      lift = onTargets(context, silent);
    },
    opened(connection) {
      if (!sticky || !context.targets(connection)) return false;
      const effect = silent(connection);
      later.set(connection, effect);
      context.attach(connection, effect);
      return false;
    },
    stop() {
      lift();
      for (const [connection, effect] of later) context.detach(connection, effect);
    },
  };
}

/** The connections that are open give pings, and answers, and no data. */
export function pingsOnly({ pingEveryMs }: FaultOf<"pings-only">, context: Context): Behaviour {
  let lift = (): void => {};
  let timer: ReturnType<typeof setInterval> | undefined;
  return {
    start() {
      lift = onTargets(context, (connection) => withhold(context, connection, false));
      const pinged = context.targeted;
      timer = setInterval(() => {
        for (const connection of pinged) if (connection.open) connection.ping(performance.now());
      }, pingEveryMs);
    },
    stop() {
      clearInterval(timer);
      lift();
    },
  };
}

/** Nothing at all passes on the connections that are open, not even a close. At its end they are reset. */
export function halfOpen(_fault: FaultOf<"half-open">, context: Context): Behaviour {
  const { wire } = context.host;
  if (wire === undefined) {
    throw new FaultError(
      "kind",
      "half-open needs the relay, since a WebSocket server answers pings by itself: start with relay: true (--relay)",
    );
  }
  let met: readonly Connection[] = [];
  return {
    async start() {
      met = context.targeted;
      onTargets(context, (connection) => withhold(context, connection, true));
      await Promise.all(met.map((connection) => wire.blacken(connection)));
    },
    stop() {
      for (const connection of met) wire.reset(connection);
    },
  };
}

/** All connections, old and new, give nothing; REST says 503. OKX says so before. */
export function maintenance({ noticeMs }: FaultOf<"maintenance">, context: Context): Behaviour {
  const { host } = context;
  const silenced = new Map<Connection, Effect>();
  let began = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const silent = (connection: Connection): void => {
    const effect = withhold(context, connection, true);
    silenced.set(connection, effect);
    context.touched(connection, undefined);
    context.attach(connection, effect);
  };
  const begin = (): void => {
    began = true;
    for (const connection of host.connections) silent(connection);
  };
  return {
    start() {
      const notice = host.notice?.bind(host);
      if (notice === undefined) {
        begin();
        return;
      }
      for (const connection of host.connections) connection.reply(notice(connection));
      timer = setTimeout(begin, noticeMs);
    },
    opened(connection) {
      if (began) silent(connection);
      return false;
    },
    answer: (_request, upgrade) => (began && !upgrade ? new Response(null, { status: 503 }) : undefined),
    stop() {
      clearTimeout(timer);
      for (const [connection, effect] of silenced) context.detach(connection, effect);
    },
  };
}

/**
 * What is subscribed while it lasts is acknowledged and silent for ever, as on Binance's wrong route: until
 * that subscription or its connection ends, whatever becomes of the fault.
 */
export function wrongRoute({ stream, cut }: FaultOf<"wrong-route">, context: Context): Behaviour {
  const { symbol } = context;
  const lost = new WeakMap<Connection, Set<string>>();
  return {
    start: () => (cut ? cutAll(context) : undefined),
    subscribed(connection, topic) {
      if (!context.targets(connection) || !brings(topic, symbol, stream)) return;
      context.touched(connection, topic.symbol);
      const known = lost.get(connection);
      if (known !== undefined) {
        known.add(keyOf(topic));
        return;
      }
      const dead = new Set([keyOf(topic)]);
      lost.set(connection, dead);
      context.attach(connection, {
        stage: "withhold",
        frame(passing, next) {
          if (!dead.has(keyOf(passing)) && !dead.has(keyOf({ ...passing, symbol: undefined }))) next(passing);
          else context.touched(connection, passing.symbol, true);
        },
        unsubscribed: (ended) => void dead.delete(keyOf(ended)),
      });
    },
  };
}

function keyOf({ kind, symbol }: Topic): string {
  return `${kind} ${symbol ?? "*"}`;
}
