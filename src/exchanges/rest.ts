/** Asking the REST interface of an exchange, as the exchange's file sees it. */

/** An answer, parsed and as it came: JSON.parse does not keep how a number was written. */
export interface RestAnswer {
  readonly body: unknown;
  readonly text: string;
}

/** Asks a path of the REST base; resolves to a 2xx answer. */
export type RestGet = (path: string) => Promise<RestAnswer>;

/** An answer of this text. @throws SyntaxError when it is not JSON. */
export function restAnswer(text: string): RestAnswer {
  return { body: JSON.parse(text), text };
}

/** An exchange refused a request; `retryAfter` is how long it wants to be left alone, ms. */
export class RestError extends Error {
  constructor(
    message: string,
    readonly retryAfter: number,
  ) {
    super(message);
    this.name = "RestError";
  }
}
