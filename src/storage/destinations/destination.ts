/** Where finished files go. Local folder, S3 and GCS fill in the same contract. */
export interface Destination {
  /** For logs: `local`. */
  readonly name: string;
  /**
   * Brings a finished file to its key. When it resolves, the file stands there whole and survives a power
   * loss, and the local copy is gone. Repeating it after a crash is harmless.
   *
   * @throws Error when it could not be done; the local copy is untouched then.
   */
  put(path: string, key: string): Promise<void>;
}
