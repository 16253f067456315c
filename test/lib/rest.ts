import { type RestAnswer, type RestGet, restAnswer } from "../../src/exchanges/rest.ts";

/** An answer that holds a value, written by JSON.stringify. */
export function answered(value: unknown): RestAnswer {
  return restAnswer(JSON.stringify(value));
}

/** Asks a server, whatever the status of its answer. */
export function asking(restUrl: string): RestGet {
  return async (path) => restAnswer(await (await fetch(restUrl + path)).text());
}
