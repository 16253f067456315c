/**
 * THE list of what is logged: every event with its fields. The logger takes nothing else (its types derive from
 * here), docs/logs.md is generated from it, and tests hold the lines of running recorders against it.
 */

/** An event of the log. */
export interface EventDescription {
  readonly meaning: string;
  /** What each field is; times are ISO 8601 unless a unit stands in the name. A line may leave fields out. */
  readonly fields: Readonly<Record<string, string>>;
}

const exchange = "exchange";
const connection = "number of the connection in this run, as in the rows";
const url = "where to";
const retry = "ms until the next attempt";
const error = "what went wrong, in the words of whoever refused";
const mend = "what helps";
const meaning = "what it means for the recording";
const path = "file";
const key = "key of the file in the lake";
const stream = "stream";
const run = "name of this run";
const destination = "local, s3 or gcs";
const balance = "a term of the balance (docs/api.md)";

/** Names the recorder's own life. */
const LIFE = {
  collector_start: {
    meaning: "A run begins.",
    fields: {
      run,
      version: "of the program",
      pid: "process id",
      data: "data folder",
      destinations: "where files are published, the primary first",
      exchanges: "recorded",
      streams: "recorded",
      raw: "`only` when nothing but raw frames is kept (`capture`)",
    },
  },
  status_api: { meaning: "The status API answers.", fields: { url: "its address" } },
  heartbeat: {
    meaning: "Every `log.heartbeat` (30 s): the recorder lives, and how it is.",
    fields: {
      state: "ERROR, OFFLINE, DEGRADED or READY",
      queue_pct: "fill of all rings together, per cent",
      silence_15m: "silent intervals of paced streams in the last 15 minutes",
      drops_15m: "events dropped in the last 15 minutes",
      drops_total: "events dropped in this run",
      reconnects_15m: "unplanned reconnects in the last 15 minutes",
      reconnects_total: "unplanned reconnects in this run",
      rss_mb: "memory of the process, MiB",
      events_total: "events taken in this run",
      undecodable_total: "frames that could not be decoded in this run",
      balance_holds: "whether every event is accounted for",
      outbox_files: "files that wait for a destination",
      outbox_bytes: "their size",
    },
  },
  state_change: {
    meaning: "The state is another one (docs/api.md).",
    fields: { from: "state before", to: "state now", reason: "why" },
  },
  signal: {
    meaning: "The process was asked to stop.",
    fields: { signal: "its name", meaning: "what happens now" },
  },
  thread_died: {
    meaning: "A thread ended that never should; the process ends with code 1, the next start recovers.",
    fields: { thread: "which", why: "its last words" },
  },
  collector_stop: {
    meaning: "A run has ended. As an error: something was lost that should not have been.",
    fields: {
      run,
      received: "`capture`: frames received; otherwise events decoded and wanted",
      recovered: balance,
      published: balance,
      uploading: balance,
      inOutbox: balance,
      inJournal: balance,
      inTable: balance,
      inRing: balance,
      dropped: balance,
      holds: "whether the balance holds",
      lost: "rows that found no file; null when unknown",
      frames: "`capture`: frames seen; otherwise what became of the frames, by exchange",
      raw: "what became of the raw frames (`record --raw`)",
      written: "`capture`: frames in files",
      not_captured: "`capture`: frames that found no room on their way",
      full: "`capture`: frames beyond `raw.max_bytes`",
      failed: "`capture`: frames that the disk refused",
      unaccounted: "`capture`: frames of which none of this is known; 0",
      bytes: "`capture`: size of the files",
      files: "`capture`: files written",
    },
  },
  lines_held_back: {
    meaning: "An event came so often that lines of it were not written, and has stopped doing so.",
    fields: { of: "the event", exchange, suppressed: "lines not written" },
  },
  log_lines_lost: {
    meaning: "Whoever reads stdout was too slow for a while.",
    fields: { count: "lines that could not be written", total: "in this run" },
  },
} as const satisfies Record<string, EventDescription>;

/** Connections and what comes over them. */
const CONNECTIONS = {
  ws_connect: {
    meaning: "A WebSocket is open.",
    fields: { exchange, connection, url, subscriptions: "channels asked for on it" },
  },
  ws_disconnect: {
    meaning: "A WebSocket has ended; as a warning when it was not us who closed it.",
    fields: {
      exchange,
      connection,
      url,
      code: "close code; null without one",
      reason: "why",
      retry_in_ms: retry,
    },
  },
  subscription_refused: {
    meaning: "The exchange refuses channels; they are asked for again later.",
    fields: { exchange, connection, channels: "which", error },
  },
  connection_lagging: {
    meaning: "Data come later and later; the connection is replaced.",
    fields: { exchange, connection, url, lag_ms: "now", baseline_ms: "what is usual" },
  },
  connection_replaced: {
    meaning: "A connection has had its successors, without a hole; as a warning when they did not get there.",
    fields: {
      exchange,
      connection,
      by: "connections that carry on",
      why: "what made it necessary",
      failed: "whether the old one had to stay",
      duplicates: "second copies that were kept out",
      unmatched: "rows of the old one without a second copy",
    },
  },
  stream_silent: {
    meaning: "A stream of a connection is silent beside others that live.",
    fields: { exchange, connection, stream, channels: "how many", silent_ms: "for how long" },
  },
  symbol_silent: {
    meaning: "A symbol is silent beside others that live; it is asked for again.",
    fields: { exchange, connection, stream, instrument: "the exchange's id", silent_ms: "for how long" },
  },
  connection_not_written: {
    meaning: "The row of an ended connection has no room.",
    fields: { exchange, connection, why: "why" },
  },
  gap: {
    meaning: "A span in which something is or may be missing (docs/gaps.md); one line an outage.",
    fields: {
      exchange,
      stream,
      reason: "see docs/gaps.md",
      certainty: "lost, possible or planned",
      symbols: "all, their names, or how many",
      from: "beginning; null = open",
      to: "end; null = open",
      missed: "how many events, where that is known",
      first_id: "first id missed",
      last_id: "last id missed",
    },
  },
  gaps_not_logged: {
    meaning: "More gaps than lines of them are written; their rows are all in the data.",
    fields: { exchange, lines: "lines held back", count: "gaps in them" },
  },
  gaps_not_named: {
    meaning: "More gaps at once than are told one by one.",
    fields: { count: "how many" },
  },
  gaps_folded: { meaning: "Gaps become rows for all symbols of a stream for a while.", fields: { meaning } },
  gaps_unfolded: {
    meaning: "The end of that.",
    fields: { count: "gaps", rows: "rows that stand for them" },
  },
  gaps_recovered: {
    meaning: "Rows of gaps of an earlier run come into a file now.",
    fields: { exchange, count: "rows" },
  },
  frame_quarantined: {
    meaning: "A frame cannot be decoded and is kept in the quarantine folder.",
    fields: { exchange, connection, reason: "what is wrong with it", bytes: "its size" },
  },
  frame_undecodable: {
    meaning: "The same in `capture`, where the capture holds it.",
    fields: { exchange, connection, reason: "what is wrong with it", bytes: "its size" },
  },
  frames_not_kept: {
    meaning: "Undecodable frames that are counted only.",
    fields: { count: "since the last such line", total: "in this run", mend },
  },
} as const satisfies Record<string, EventDescription>;

/** Lists of instruments. */
const INSTRUMENTS = {
  instruments: {
    meaning: "An exchange's list of instruments was read for the first time.",
    fields: { exchange, count: "recorded" },
  },
  instruments_changed: {
    meaning: "Instruments were listed or delisted; connections follow.",
    fields: { exchange, listed: "new ones", delisted: "gone ones", count: "recorded now" },
  },
  instruments_unreadable: {
    meaning: "Entries of a list could not be read and are left out.",
    fields: { exchange, count: "how many", example: "one of them" },
  },
  instrument_fields_unreadable: {
    meaning: "Fields of a list could not be read and are NULL.",
    fields: { exchange, count: "how many", example: "one of them" },
  },
  discovery_failed: {
    meaning: "An exchange's list of instruments could not be read.",
    fields: { exchange, url, error, retry_in_ms: retry },
  },
  symbols_unknown: {
    meaning: "Symbols that were asked for do not exist there.",
    fields: {
      exchange,
      symbols: "as asked for",
      looked_for: "as the exchange would call them",
      similar: "that exist",
      mend,
    },
  },
  nothing_to_record: {
    meaning: "There is nothing to record on an exchange.",
    fields: { exchange, streams: "asked for", reason: "why" },
  },
} as const satisfies Record<string, EventDescription>;

/** Files, journals, destinations. */
const STORAGE = {
  file_published: {
    meaning: "A file has arrived at a destination, verified.",
    fields: {
      key,
      exchange,
      stream,
      rows: "in it",
      bytes: "its size",
      destination,
      attempts: "how many it took, if more than one",
      found: "it was there already",
      recovered: "it is of an earlier run",
    },
  },
  publish_failed: {
    meaning: "An attempt to publish a file failed; it is tried for ever.",
    fields: {
      key,
      destination,
      error,
      unknown: "whether it may have arrived all the same",
      retry_in_ms: retry,
    },
  },
  publish_fallback: {
    meaning: "A file goes to the fallback, since the primary cannot be reached.",
    fields: {
      key,
      exchange,
      stream,
      destination: "that failed",
      error,
      outbox_files: "files that wait",
      outbox_bytes: "their size",
    },
  },
  destination_checked: {
    meaning: "A probe object was written, read and deleted.",
    fields: { destination, where: "which bucket or folder" },
  },
  preflight_failed: {
    meaning: "That failed; recording goes on all the same.",
    fields: { destination, error, meaning },
  },
  destination_failing: {
    meaning: "A destination failed so often that it is left alone for a while.",
    fields: { destination, error },
  },
  destination_recovered: { meaning: "It is used again.", fields: { destination } },
  upload_trouble: {
    meaning: "Something beside the upload of a file failed (manifest, a second look); it is tried again.",
    fields: { what: "what", error },
  },
  file_missing: {
    meaning: "A file that the ledger knows is nowhere.",
    fields: { key, why: "why that is wrong" },
  },
  file_quarantined: {
    meaning: "A file that cannot be trusted was moved to the quarantine folder.",
    fields: { path, now: "where it is", key, reason: "what is wrong with it" },
  },
  double_found: {
    meaning: "A file stands in two destinations.",
    fields: { key, kept: "which counts", other: "where the other is", same: "whether they are equal" },
  },
  double_removed: {
    meaning: "The fallback's copy of a file that stood in two destinations was removed.",
    fields: { key, kept: "which counts", other: "where the other was", same: "whether they were equal" },
  },
  outbox_full: { meaning: "`outbox.max_bytes` is reached; the state is ERROR.", fields: { mend } },
  outbox_recovered: { meaning: "There is room again.", fields: {} },
  copy_failed: {
    meaning: "A segment could not become a file; it stays in its journal and is tried again.",
    fields: { segment: "its key", error, retry_in_ms: retry },
  },
  copy_recovered: { meaning: "Segments become files again.", fields: {} },
  journal_failed: {
    meaning: "Journals cannot be written; rows stay in the rings meanwhile.",
    fields: { why: "why" },
  },
  journal_recovered: { meaning: "They can be written again.", fields: {} },
  ring_rescued: {
    meaning: "What a killed run had in a ring was brought into its journal.",
    fields: {
      path: "file of the ring",
      rows: "in it",
      dropped: "events behind the last of them that had found it full",
    },
  },
  ring_not_rescued: {
    meaning: "What a killed run had in a ring was not brought into its journal.",
    fields: { path: "file of the ring", why: "why", kept: "whether it is tried again at the next start" },
  },
  ring_symbols_failed: {
    meaning: "New symbols could not be kept beside the rings; they are kept with the next ones.",
    fields: { error },
  },
  journal_taken_over: {
    meaning: "A journal of an earlier run becomes a file.",
    fields: { path, rows: "in it" },
  },
  journal_cut: {
    meaning: "The torn end of a journal was cut; what it held is a gap.",
    fields: { path, bytes: "that were cut" },
  },
  journal_stays: {
    meaning:
      "A journal of gaps whose rows stand in another one could not be removed; the next start takes them once more.",
    fields: { path, error },
  },
  journal_not_sealed: {
    meaning:
      "The seal of a journal of an earlier run could not be written; its rows become a file all the same.",
    fields: { path, why: "why" },
  },
  journal_damaged: {
    meaning: "Parts of a journal cannot be read; what they held is a gap.",
    fields: { path, why: "what is wrong with it", parts: "how many", rows: "in them; null when unknown" },
  },
  foreign_entry: {
    meaning: "Something in the data folder is not ours; it is left where it is.",
    fields: { path, why: "why" },
  },
  journal_removed: { meaning: "A journal is of no use any more.", fields: { path, why: "why" } },
  drain_failed: { meaning: "An error in the drain; it is being rebuilt.", fields: { error } },
  drain_rebuilt: {
    meaning: "The drain works again.",
    fields: { ms: "how long it took", segments: "taken from journals", rows: "in them" },
  },
  ledger_failed: {
    meaning: "The ledger could not be written or read; recording goes on.",
    fields: { error },
  },
  ledger_behind: {
    meaning: "The ledger is older than the journals: what it did not know is taken from them.",
    fields: { runs: "that it did not know", meaning },
  },
  ledger_missing: { meaning: "No ledger can be written.", fields: { why: "why", meaning } },
  day_deleted: {
    meaning: "A day of a local lake is over its time.",
    fields: { date: "which", folders: "deleted", why: "by which setting" },
  },
  retention_failed: { meaning: "Days over their time could not be deleted.", fields: { error } },
  raw_file: {
    meaning: "A file of raw frames is closed.",
    fields: { path, exchange, frames: "in it", bytes: "its size" },
  },
  raw_recovered: {
    meaning: "A file of raw frames of an earlier run was brought to its end.",
    fields: {
      path,
      from: "its unfinished name",
      blocks: "that are whole",
      bytes: "of them",
      cut_bytes: "that were torn",
    },
  },
  raw_full: { meaning: "`raw.max_bytes` is reached.", fields: { bytes: "kept", meaning, mend } },
  raw_resumed: { meaning: "There is room again.", fields: {} },
  raw_failed: { meaning: "Raw frames could not be written.", fields: { error } },
  raw_stopped: { meaning: "The writer of raw frames has ended.", fields: { why: "why", meaning } },
  raw_not_captured: {
    meaning: "Raw frames that are counted only.",
    fields: { frames: "since the last such line", total: "in this run", of: "frames in all", meaning },
  },
} as const satisfies Record<string, EventDescription>;

/** Messages to people. */
const NOTIFY = {
  notify_sent: {
    meaning: "A message was delivered (level debug).",
    fields: { channel: "webhook or telegram", events: "told in it", held_back: "only counted in it" },
  },
  notify_failed: {
    meaning: "A message could not be delivered.",
    fields: {
      channel: "webhook or telegram",
      error,
      retry_in_ms: `${retry}; null = it was given up`,
      mend,
    },
  },
  notify_recovered: {
    meaning: "Messages are delivered again.",
    fields: { channel: "webhook or telegram", attempts: "it took" },
  },
  notify_unsent: {
    meaning: "The recorder ended before a message was delivered.",
    fields: { channel: "webhook or telegram", events: "that nobody was told of" },
  },
} as const satisfies Record<string, EventDescription>;

/** The groups in the order of docs/logs.md. */
export const EVENT_GROUPS = {
  "The recorder itself": LIFE,
  "Connections and what comes over them": CONNECTIONS,
  Instruments: INSTRUMENTS,
  "Files and journals": STORAGE,
  "Messages to people": NOTIFY,
} as const;

/** Every event by name. */
export const EVENTS = { ...LIFE, ...CONNECTIONS, ...INSTRUMENTS, ...STORAGE, ...NOTIFY } as const;

/** Name of an event. */
export type EventName = keyof typeof EVENTS;

/** What a field may hold. */
export type FieldValue = string | number | boolean | null | readonly string[] | object;

/** The fields of an event. */
export type FieldsOf<E extends EventName> = E extends EventName
  ? { readonly [name in keyof (typeof EVENTS)[E]["fields"]]?: FieldValue | undefined }
  : never;

/** Fields that the logger itself adds to a line. */
export const OWN_FIELDS: Readonly<Record<string, string>> = {
  time: "when, ISO 8601 in UTC",
  level: "debug, info, warn or error",
  event: "what: one of those below",
  suppressed: "lines of this event (and exchange) that were held back before this one, where there were any",
};

/** What of a line is in no page: the event, or fields of it; empty when all is documented. */
export function undocumented(line: Readonly<Record<string, unknown>>): readonly string[] {
  const name = String(line.event);
  if (!Object.hasOwn(EVENTS, name)) return [name];
  const { fields }: EventDescription = EVENTS[name as EventName];
  return Object.keys(line)
    .filter((field) => !Object.hasOwn(fields, field) && !Object.hasOwn(OWN_FIELDS, field))
    .map((field) => `${name}.${field}`);
}
