/** One value that a user gave for a setting, whatever the source. */
export interface Given {
  /** Dotted path of the setting. */
  readonly path: string;
  /** As given: a text from flags and environment, a native value from tapedeck.toml. */
  readonly value: unknown;
  /** Where from, short: `--port`, `TAPEDECK_STATUS_PORT`, `tapedeck.toml`. */
  readonly source: string;
  /** Where from, for a fault, around the value as it may be shown: `--port 99999`. */
  readonly where: (shown: string) => string;
  /** Whether `where` wants texts in quotes. */
  readonly quoted: boolean;
}
