/** A WebSocket as the recorder sees it, whoever speaks the protocol underneath. */

/** Close codes that never stand in a frame (RFC 6455, 7.4.1): a close frame without a code; no close frame at all. */
export const NO_CODE = 1005;
export const NO_FRAME = 1006;

/** What a WebSocket tells. Nothing is told before the call that opens it has returned, nor after its end. */
export interface WireEvents {
  opened(): void;
  /**
   * A message, text or binary: the bytes `from` to `to` of `data`, which are there while this runs and no longer. Whoever keeps
   * them makes a copy.
   */
  message(data: Uint8Array, from: number, to: number): void;
  /**
   * Something came that is no message: a ping, a pong, a piece of a message.
   *
   * @param whole whether nothing is missing of what has begun to come
   */
  heard(whole: boolean): void;
  /** The end of an attempt: the server answered with another status than 101. @param retryAfter its header, if it has one */
  refused(status: number, retryAfter: string | null): void;
  /** The end: no connection came about, or the other side broke the protocol. */
  failed(reason: string): void;
  /** The end of what was open. @param code as in the frame, or {@link NO_CODE}, {@link NO_FRAME} */
  closed(code: number, reason: string): void;
}

/** An opened WebSocket, or one that is being opened. */
export interface Wire {
  /** Sends a text. */
  send(text: string): void;
  ping(): void;
  /** Closes it as one should; nothing is told any more. */
  close(code: number): void;
  /** Ends it at once, without a word to the other side; nothing is told any more. */
  terminate(): void;
}

/** Bounds of a WebSocket. */
export interface WireBounds {
  /** How long it may take until it is open, ms. */
  readonly handshakeTimeout: number;
  /** Bytes that are worked off before all others of the thread have their turn. */
  readonly turnBytes: number;
  /** Longest message that is taken, bytes; a longer one is the end. */
  readonly messageBytesMax: number;
}

/** How a WebSocket is opened. */
export interface DialOptions {
  readonly bounds: WireBounds;
  readonly events: WireEvents;
}

/** Opens a WebSocket: directly, or by way of a proxy. @throws Error when the system has nothing left to open it with */
export type Dial = (url: string, options: DialOptions) => Wire;
