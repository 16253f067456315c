import { parseRetryAfter } from "../../lib/retry-after.ts";
import type { Message } from "./message.ts";

/** A way to people. */
export interface Channel {
  readonly name: "webhook" | "telegram";
  /** @throws SendError when it has not arrived, as far as can be known */
  send(message: Message, signal: AbortSignal): Promise<void>;
}

/** A message has not arrived. The words may hold secrets: they are masked before anybody sees them. */
export class SendError extends Error {
  override name = "SendError";

  /**
   * @param permanent trying again would be of no use
   * @param retryAfter ms before which the other side does not want to be asked again
   */
  constructor(
    message: string,
    readonly permanent: boolean,
    readonly retryAfter: number,
  ) {
    super(message);
  }
}

/** Bytes of an answer that are read; none that matters is longer. */
const ANSWER_MAX = 4096;
/** Characters of it that an error repeats. */
const SHOWN_MAX = 200;
/** Client errors that pass. */
const PASSING = [408, 409, 425, 429];

/**
 * POSTs JSON; resolves when the answer is a 2xx.
 *
 * @param retryAfterOf reads a wait (ms) out of the body of a refusal, besides the header
 * @throws SendError
 */
export async function post(
  url: string,
  body: object,
  signal: AbortSignal,
  retryAfterOf: (body: string) => number = () => 0,
): Promise<void> {
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json", "user-agent": "tapedeck" },
      body: JSON.stringify(body),
      // Followed, it might carry a token to somebody else.
      redirect: "manual",
      signal,
    });
    if (response.ok) {
      await response.body?.cancel();
      return;
    }
    const answer = await beginning(response);
    const { status, headers } = response;
    const permanent = status < 500 && !PASSING.includes(status);
    const retryAfter = Math.max(parseRetryAfter(headers.get("retry-after")), retryAfterOf(answer));
    const words = answer.slice(0, SHOWN_MAX).trim();
    throw new SendError(`answered ${status}${words === "" ? "" : `: ${words}`}`, permanent, retryAfter);
  } catch (error) {
    if (error instanceof SendError) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new SendError(signal.aborted ? `no answer in time (${why})` : why, false, 0);
  }
}

/** The beginning of an answer, however long it is. */
async function beginning(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    chunks.push(chunk);
    size += chunk.length;
    if (size >= ANSWER_MAX) break;
  }
  return Buffer.concat(chunks).subarray(0, ANSWER_MAX).toString();
}
