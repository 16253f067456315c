/**
 * Server-sent events: the same message to every client, made once however many there are.
 *
 * A client is a stream of bytes with room for a few messages. One that does not read loses its connection, not the
 * others their time: nothing here ever waits. Browsers connect again by themselves.
 */

/** Messages that wait for a slow client before it is dropped, unless said otherwise. */
const WAITING_MAX = 4;
/** After this a browser connects again, ms. */
const RETRY = 2000;

const utf8 = new TextEncoder();

/** What a feed is made of. */
export interface LiveFeedOptions {
  /** The message as it is now; may have several lines. */
  readonly message: () => string;
  /** Pause between two messages, ms. */
  readonly interval: number;
  readonly clientsMax: number;
  /** Messages that wait for a slow client before it is dropped. */
  readonly waitingMax?: number;
}

/** See the head of the file. */
export class LiveFeed {
  /** Clients that were dropped because they did not read. */
  dropped = 0;
  readonly #options: LiveFeedOptions;
  readonly #clients = new Set<ReadableStreamDefaultController<Uint8Array>>();
  #timer: ReturnType<typeof setInterval> | undefined;
  #last: { readonly bytes: Uint8Array; readonly at: number } | null = null;

  constructor(options: LiveFeedOptions) {
    this.#options = options;
  }

  get clients(): number {
    return this.#clients.size;
  }

  /** The answer to a client that wants to listen; 503 when there are too many. */
  response(): Response {
    const { clientsMax, interval, waitingMax = WAITING_MAX } = this.#options;
    if (this.#clients.size >= clientsMax) {
      return Response.json(
        { error: `${clientsMax} clients listen already (status.max_streams)` },
        { status: 503, headers: { "retry-after": "5" } },
      );
    }
    let own: ReadableStreamDefaultController<Uint8Array> | undefined;
    const body = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          own = controller;
          this.#clients.add(controller);
          controller.enqueue(utf8.encode(`retry: ${RETRY}\n\n`));
          controller.enqueue(this.#bytes(interval));
        },
        cancel: () => {
          if (own !== undefined) this.#leave(own);
        },
      },
      { highWaterMark: waitingMax },
    );
    this.#timer ??= setInterval(() => this.#send(), interval);
    return new Response(body, { headers: { "content-type": "text/event-stream; charset=utf-8" } });
  }

  /** Ends every client's stream. */
  close(): void {
    for (const client of this.#clients) this.#end(client);
  }

  #send(): void {
    const bytes = this.#bytes(0);
    for (const client of this.#clients) {
      if ((client.desiredSize ?? 0) > 0) client.enqueue(bytes);
      else {
        this.dropped++;
        this.#end(client);
      }
    }
  }

  /** The message in the form of the protocol, not older than `age` ms. */
  #bytes(age: number): Uint8Array {
    const now = performance.now();
    if (this.#last === null || now - this.#last.at >= age) {
      const lines = this.#options.message().split("\n");
      this.#last = { bytes: utf8.encode(`${lines.map((line) => `data: ${line}`).join("\n")}\n\n`), at: now };
    }
    return this.#last.bytes;
  }

  #end(client: ReadableStreamDefaultController<Uint8Array>): void {
    this.#leave(client);
    client.error(new Error("the client does not read, or the recorder ends"));
  }

  #leave(client: ReadableStreamDefaultController<Uint8Array>): void {
    this.#clients.delete(client);
    if (this.#clients.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
