/** What segments take at the moment; added up where it changes. */
export class Usage {
  /** Bytes of journals. */
  journalBytes = 0;
}
