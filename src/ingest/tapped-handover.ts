import type { HandoverMark } from "../capture/mark.ts";
import type { Stream } from "../events/streams.ts";
import { Handover } from "./handover.ts";

/** A hand-over whose steps are captured among the raw frames, so that {@link CaptureDecoder} can decide as it does. */
export class TappedHandover extends Handover {
  readonly #old: number;
  readonly #captured: (mark: HandoverMark) => void;

  /** @param captured takes each step before the next frame is received */
  constructor(
    options: {
      old: number;
      remember: number;
      lastTimes: ReadonlyMap<Stream, Float64Array>;
      stateStreams: readonly Stream[];
    },
    captured: (mark: HandoverMark) => void,
  ) {
    super(options);
    this.#old = options.old;
    this.#captured = captured;
    captured({ handover: "begins", connection: options.old, remember: options.remember });
  }

  override opened(connection: number): void {
    super.opened(connection);
    this.#captured({ handover: "opened", connection });
  }

  override oldEnded(): void {
    super.oldEnded();
    this.#captured({ handover: "ended", connection: this.#old });
  }
}
