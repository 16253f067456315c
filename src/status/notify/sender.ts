import type { Redactor } from "../../config/secrets.ts";
import { Backoff } from "../../lib/backoff.ts";
import type { Logger } from "../log.ts";
import { type Channel, SendError } from "./channel.ts";
import { type Batch, Digest, sizeOf } from "./digest.ts";
import { messageOf } from "./message.ts";
import type { News } from "./news.ts";

/** Bounds of a {@link Sender}; times in ms. */
export interface SenderBounds {
  /** Between two messages. */
  readonly interval: number;
  /** What happens within this time after the first goes out with it. */
  readonly gather: number;
  /** News told one by one in a message; older ones are counted. */
  readonly maxLines: number;
  /** For one request. */
  readonly timeout: number;
  readonly retryMin: number;
  readonly retryMax: number;
}

/**
 * Sends news over one channel: one message at a time, `interval` apart, each with what has come since the last one.
 * What cannot be sent waits together with what comes meanwhile, so a long outage ends with one summary.
 */
export class Sender {
  readonly #channel: Channel;
  readonly #instance: string;
  readonly #bounds: SenderBounds;
  readonly #log: Logger;
  readonly #redact: Redactor;
  readonly #digest: Digest;
  readonly #backoff: Backoff;
  readonly #abort = new AbortController();
  #timer: ReturnType<typeof setTimeout> | null = null;
  #sending: Promise<void> | null = null;
  #closing = false;
  /** When the end comes and nothing is sent any more, performance.now(). */
  #endsAt = Number.POSITIVE_INFINITY;
  /** When the last message was sent, performance.now(). */
  #lastAt = Number.NEGATIVE_INFINITY;
  #messages = 0;
  /** The last message, and how much stood in it; what is put back only grows, so as much is the same. */
  #last = { id: "", size: 0 };
  readonly #began = Date.now();

  constructor(options: {
    channel: Channel;
    instance: string;
    bounds: SenderBounds;
    log: Logger;
    redact: Redactor;
  }) {
    this.#channel = options.channel;
    this.#instance = options.instance;
    this.#bounds = options.bounds;
    this.#log = options.log;
    this.#redact = options.redact;
    this.#digest = new Digest(options.bounds.maxLines);
    this.#backoff = new Backoff(options.bounds.retryMin, options.bounds.retryMax);
  }

  /** Takes something up; returns at once. */
  add(news: News): void {
    this.#digest.add(news);
    if (this.#timer !== null || this.#sending !== null || this.#closing) return;
    const { gather, interval } = this.#bounds;
    this.#wait(Math.max(gather, this.#lastAt + interval - performance.now()));
  }

  /**
   * Sends at once what waits, again with back-off where that fails: the last message says why a run has ended. What has
   * not been sent in `timeout` ms is given up, counted in the log.
   */
  async close(timeout: number): Promise<void> {
    this.#closing = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#endsAt = performance.now() + timeout;
    const limit = setTimeout(() => this.#abort.abort(), timeout);
    await this.#sending;
    while (!this.#digest.empty && !this.#abort.signal.aborted) {
      const pause = await this.#send();
      if (pause === null) break;
      await Bun.sleep(pause);
    }
    clearTimeout(limit);
    if (this.#digest.empty) return;
    const { name: channel } = this.#channel;
    this.#log.warn("notify_unsent", { channel, events: sizeOf(this.#digest.take()) });
  }

  #wait(ms: number): void {
    if (this.#closing) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#sending = this.#send().then((pause) => {
        this.#sending = null;
        if (pause !== null && pause > 0) this.#wait(pause);
        if (this.#timer === null && !this.#digest.empty) this.#wait(this.#bounds.interval);
      });
    }, ms);
    this.#timer.unref();
  }

  /** One attempt. Never throws. Tells in how many ms the next one is due: 0 = none is, null = it would come too late. */
  async #send(): Promise<number | null> {
    const { name: channel } = this.#channel;
    const batch = this.#digest.take();
    const id = this.#idOf(batch);
    const signal = AbortSignal.any([AbortSignal.timeout(this.#bounds.timeout), this.#abort.signal]);
    try {
      await this.#channel.send(messageOf(batch, id, this.#instance, this.#redact), signal);
    } catch (error) {
      return this.#failed(error, () => this.#digest.putBack(batch));
    }
    this.#lastAt = performance.now();
    this.#last = { id: "", size: 0 };
    const { attempts } = this.#backoff;
    this.#backoff.reset();
    if (attempts > 0) this.#log.info("notify_recovered", { channel, attempts: attempts + 1 });
    const { news } = batch;
    this.#log.debug("notify_sent", { channel, events: news.length, held_back: sizeOf(batch) - news.length });
    return 0;
  }

  /** The same for what is sent again as it was: it may have arrived though no answer came. */
  #idOf(batch: Batch): string {
    const size = sizeOf(batch);
    if (size !== this.#last.size)
      this.#last = { id: `${this.#instance}-${this.#began}-${this.#messages++}`, size };
    return this.#last.id;
  }

  /** See {@link #send} for what it returns. */
  #failed(cause: unknown, putBack: () => void): number | null {
    const { name: channel } = this.#channel;
    const error = this.#redact(cause instanceof Error ? cause.message : String(cause));
    if (cause instanceof SendError && cause.permanent) {
      // It would be refused for ever and hold up all that comes after.
      this.#lastAt = performance.now();
      this.#last = { id: "", size: 0 };
      this.#log.error("notify_failed", {
        channel,
        error,
        retry_in_ms: null,
        mend: `check notify.${channel === "telegram" ? "telegram_token and notify.telegram_chat" : "webhook_url"}`,
      });
      return 0;
    }
    putBack();
    const pause = Math.max(1, this.#backoff.next(cause instanceof SendError ? cause.retryAfter : 0));
    const isInTime = performance.now() + pause < this.#endsAt;
    this.#log.warn("notify_failed", { channel, error, retry_in_ms: isInTime ? pause : null });
    return isInTime ? pause : null;
  }
}
