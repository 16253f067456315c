/** What each kind of fault does. */
import type { Behaviour, Context } from "../behaviour.ts";
import type { Fault } from "../model.ts";
import { acceptThenClose, close, hang, httpStatus, refuse } from "./admission.ts";
import { drip } from "./drip.ts";
import { clockStep, delist, list } from "./exchange.ts";
import { badUtf8, duplicates, huge, malformed, reorder, unknownFields } from "./frames.ts";
import { badTopic, missingAck } from "./requests.ts";
import { halfOpen, maintenance, pingsOnly, silence, wrongRoute } from "./silence.ts";

/** Makes the behaviour of a fault. @throws FaultError when this exchange cannot have it */
export function behaviourOf(fault: Fault, context: Context): Behaviour {
  switch (fault.kind) {
    case "refuse":
      return refuse(fault, context);
    case "unavailable":
    case "429":
    case "418":
      return httpStatus(fault, context);
    case "hang":
      return hang(fault, context);
    case "accept-then-close":
      return acceptThenClose(fault, context);
    case "close":
      return close(fault, context);
    case "half-open":
      return halfOpen(fault, context);
    case "pings-only":
      return pingsOnly(fault, context);
    case "silence":
      return silence(fault, context);
    case "wrong-route":
      return wrongRoute(fault, context);
    case "drip":
      return drip(fault, context);
    case "missing-ack":
      return missingAck(fault, context);
    case "bad-topic":
      return badTopic(fault, context);
    case "duplicates":
      return duplicates(fault, context);
    case "reorder":
      return reorder(fault, context);
    case "malformed":
      return malformed(fault, context);
    case "huge":
      return huge(fault, context);
    case "unknown-fields":
      return unknownFields(fault, context);
    case "invalid-utf8":
      return badUtf8(fault, context);
    case "maintenance":
      return maintenance(fault, context);
    case "clock-step":
      return clockStep(fault, context);
    case "list":
      return list(fault, context);
    case "delist":
      return delist(fault, context);
  }
}
