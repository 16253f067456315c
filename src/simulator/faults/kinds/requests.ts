/** Faults that a client meets when it subscribes. */
import { z } from "zod";
import type { Connection } from "../../connection.ts";
import type { Behaviour, Context } from "../behaviour.ts";
import { brings } from "../gate.ts";
import type { FaultOf } from "../model.ts";
import { cutAll } from "./admission.ts";

/** Binance has `method` and `params`, Bybit and OKX `op` and `args`; OKX's args are objects. */
const REQUEST = z.union([
  z.object({ method: z.literal("SUBSCRIBE"), params: z.array(z.string()) }),
  z.object({ op: z.literal("subscribe"), args: z.array(z.unknown()) }),
]);

/** The ack of a subscribe request does not come, or the request itself is lost on its way. */
export function missingAck(
  { stream, lost, count, cut }: FaultOf<"missing-ack">,
  context: Context,
): Behaviour {
  const { host, symbol } = context;
  let left = count ?? Number.POSITIVE_INFINITY;
  const concerns = (request: string): boolean => {
    const wanted = subscribeArgs(request);
    if (wanted === undefined) return false;
    if (symbol === undefined && stream === undefined) return true;
    return wanted.some((arg) => {
      const topic = host.topic(arg);
      return topic !== undefined && brings(topic, symbol, stream);
    });
  };
  return {
    start: () => (cut ? cutAll(context) : undefined),
    message(connection: Connection, text, pass) {
      if (left === 0 || !context.targets(connection) || !concerns(text)) {
        pass();
        return;
      }
      left--;
      context.touched(connection, symbol);
      if (lost === "ack") {
        const swallow = {
          stage: "withhold",
          // One ack per arg names what it is for: only those of the fault's own symbol or kind are lost.
          reply(answer: string, next: (text: string) => void) {
            const arg = argOf(answer);
            const topic = arg === undefined ? undefined : host.topic(arg);
            if (topic !== undefined && !brings(topic, symbol, stream)) next(answer);
          },
        } as const;
        context.attach(connection, swallow);
        pass();
        context.detach(connection, swallow);
      }
      if (left === 0) context.over();
    },
  };
}

/** A topic is refused, in the exchange's own way: Bybit fails the whole request for it. */
export function badTopic({ stream, cut }: FaultOf<"bad-topic">, context: Context): Behaviour {
  return {
    start: () => (cut ? cutAll(context) : undefined),
    refuses(connection, topic) {
      if (!context.targets(connection) || !brings(topic, context.symbol, stream)) return false;
      context.touched(connection, topic.symbol);
      return true;
    },
  };
}

/** What a subscribe request asks for, as the exchange's `topic` reads it; undefined = it is none. */
function subscribeArgs(text: string): string[] | undefined {
  const request = REQUEST.safeParse(parsed(text));
  if (!request.success) return undefined;
  const args = "params" in request.data ? request.data.params : request.data.args;
  return args.map((arg) => (typeof arg === "string" ? arg : JSON.stringify(arg)));
}

const ACK = z.object({ arg: z.looseObject({}) });

function argOf(answer: string): string | undefined {
  const ack = ACK.safeParse(parsed(answer));
  return ack.success ? JSON.stringify(ack.data.arg) : undefined;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
