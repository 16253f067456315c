import type { Settings } from "../../config/schema.ts";
import { type Redactor, redactorOf } from "../../config/secrets.ts";
import type { EventName, FieldsOf } from "../events.ts";
import type { Logger } from "../log.ts";
import type { Channel } from "./channel.ts";
import { newsOf } from "./news.ts";
import { Sender } from "./sender.ts";
import { telegram } from "./telegram.ts";
import { webhook } from "./webhook.ts";

/** Tells people what happens, over every channel that is set. Nothing ever waits for it but the end of the process. */
export class Notifier {
  readonly #senders: readonly Sender[];
  readonly #settings: Settings["notify"];

  private constructor(channels: readonly Channel[], settings: Settings, log: Logger, redact: Redactor) {
    const { notify, instance } = settings;
    this.#settings = notify;
    const bounds = {
      interval: notify.interval,
      gather: notify.gather,
      maxLines: notify.max_lines,
      timeout: notify.timeout,
      retryMin: notify.retry_min,
      retryMax: notify.retry_max,
    };
    this.#senders = channels.map((channel) => new Sender({ channel, instance, bounds, log, redact }));
  }

  /** Null when no channel is set. */
  static open(settings: Settings, log: Logger): Notifier | null {
    const { webhook_url, telegram_url, telegram_token, telegram_chat } = settings.notify;
    const channels: Channel[] = [];
    if (webhook_url !== undefined) channels.push(webhook(webhook_url));
    if (telegram_token !== undefined && telegram_chat !== undefined) {
      channels.push(telegram(telegram_url, telegram_token, telegram_chat));
    }
    return channels.length === 0 ? null : new Notifier(channels, settings, log, redactorOf(settings));
  }

  /** A line was logged. */
  take<E extends EventName>(event: E, fields: FieldsOf<E> | undefined): void {
    const news = newsOf(event, fields, Date.now());
    if (news === null || !this.#settings.events.includes(news.kind)) return;
    for (const sender of this.#senders) sender.add(news);
  }

  /** Sends what waits, within `notify.stop_timeout`, and within `atMost` ms. */
  async close(atMost = Number.POSITIVE_INFINITY): Promise<void> {
    const timeout = Math.min(this.#settings.stop_timeout, atMost);
    await Promise.all(this.#senders.map((sender) => sender.close(timeout)));
  }
}

/** A log of which the notifier reads every line, whatever `log.level` is. */
export function notifying(log: Logger, notifier: Notifier): Logger {
  return {
    recent: log.recent,
    debug: (event, fields) => {
      log.debug(event, fields);
      notifier.take(event, fields);
    },
    info: (event, fields) => {
      log.info(event, fields);
      notifier.take(event, fields);
    },
    warn: (event, fields) => {
      log.warn(event, fields);
      notifier.take(event, fields);
    },
    error: (event, fields) => {
      log.error(event, fields);
      notifier.take(event, fields);
    },
  };
}
