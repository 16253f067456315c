/** Where a recorder that runs is asked, and how: for `status` and `healthcheck`. */
import type { Settings } from "../config/schema.ts";
import { Failure, UsageError } from "./command.ts";

/** Addresses that mean "all of this machine" to who listens; who asks needs one of them. */
const ANY_ADDRESS: Readonly<Record<string, string>> = {
  "0.0.0.0": "127.0.0.1",
  "::": "[::1]",
  "[::]": "[::1]",
};
/** Longest answer that is read, bytes. */
const ANSWER_MAX = 16 * 2 ** 20;

/**
 * Base of a status API, without a slash at its end.
 *
 * @param given `http://host:9100`, `host:9100`, `host` (port of the settings), with a path where a proxy puts it under one;
 *   undefined = the recorder that these settings start on this machine
 * @throws UsageError when it is no address
 */
export function recorderAddress(given: string | undefined, { host, port }: Settings["status"]): string {
  if (given === undefined) {
    if (port === 0) {
      throw new UsageError([
        "status.port = 0: the recorder takes any free port; name its address, as its log line status_api tells it",
      ]);
    }
    const shown = ANY_ADDRESS[host] ?? (host.includes(":") && !host.startsWith("[") ? `[${host}]` : host);
    return `http://${shown}:${port}`;
  }
  const withScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(given) ? given : `http://${given}`;
  const url = URL.canParse(withScheme) ? new URL(withScheme) : null;
  const fits =
    url !== null &&
    // A port alone would be read as an address: 9161 is 0.0.35.201.
    !/^\d+$/.test(given) &&
    /^https?:$/.test(url.protocol) &&
    url.hostname !== "" &&
    [url.username, url.password, url.search, url.hash].every((part) => part === "");
  if (!fits)
    throw new UsageError([`${JSON.stringify(given)}: is no address; say http://host:${port || 9100}`]);
  // The port of the scheme is left out by URL, so what was written decides.
  if (
    url.port === "" &&
    !/:\d+(\/|$)/.test(withScheme.slice(url.protocol.length)) &&
    url.protocol === "http:"
  ) {
    url.port = String(port || 9100);
  }
  return url.href.replace(/\/+$/, "");
}

/** What came of a question. */
export interface Answer {
  readonly status: number;
  readonly text: string;
}

/**
 * Asks a status API.
 *
 * @param timeout bound of the whole exchange, ms
 * @throws Failure when nobody answers in time; names the mend
 */
export async function ask(base: string, path: string, timeout: number): Promise<Answer> {
  try {
    const response = await fetch(base + path, {
      headers: { accept: "application/json" },
      redirect: "manual",
      signal: AbortSignal.timeout(timeout),
    });
    return { status: response.status, text: await bounded(response) };
  } catch (error) {
    throw new Failure(
      `no recorder answers at ${base} (${reasonOf(error, timeout)}); is it running, and is this its address? ` +
        "Its log line status_api names it; --port, --host or an argument such as http://host:9100 choose another",
    );
  }
}

/** The body, up to a bound: an address may be anyone's. */
async function bounded(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > ANSWER_MAX) throw new Error("its answer has no end");
  }
  return text + decoder.decode();
}

/** What the system's names of network errors mean. */
const NETWORK_ERRORS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "something there closed the connection without an answer of HTTP",
  ENOTFOUND: "there is no host of that name",
};

function reasonOf(error: unknown, timeout: number): string {
  if (error instanceof DOMException && error.name === "TimeoutError") return `nothing within ${timeout} ms`;
  if (!(error instanceof Error)) return String(error);
  const code = "code" in error ? String(error.code) : "";
  return NETWORK_ERRORS[code] ?? error.message;
}
