/** The load source as a stage sees it. */
import { join } from "node:path";
import { type Load, type Played, saidSchema } from "./messages.ts";
import type { TapeOptions } from "./tape.ts";

/** How long subscriptions have to be quiet before they are complete, ms. */
const QUIET = 700;
/** How long they may take, ms. */
const PATIENCE = 60_000;

/** Starts a source; to be closed by `using`. */
export async function startSource(tape: TapeOptions): Promise<Source> {
  const source = new Source(tape);
  await source.ready;
  return source;
}

/** One that runs. */
export class Source implements Disposable {
  readonly ready: Promise<void>;
  /** Base for both kinds of addresses: `127.0.0.1:40001`. */
  host = "";
  readonly #child: Bun.Subprocess;
  #channels = 0;
  #changedAt = 0;
  #played: ((played: Played) => void) | null = null;

  constructor(tape: TapeOptions) {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.ready = promise;
    this.#child = Bun.spawn([process.execPath, join(import.meta.dir, "main.ts"), JSON.stringify(tape)], {
      stdio: ["ignore", "inherit", "inherit"],
      ipc: (message) => {
        const said = saidSchema.parse(message);
        if (said.type === "ready") {
          this.host = `127.0.0.1:${said.port}`;
          resolve();
        } else if (said.type === "subscribed") {
          this.#channels = said.channels;
          this.#changedAt = performance.now();
        } else this.#played?.(said);
      },
      onExit: (_, code) => reject(new Error(`the load source ended with ${code}`)),
    });
  }

  /** Waits until at least so many channels are subscribed and no more come. */
  async subscribed(channels: number): Promise<void> {
    const deadline = performance.now() + PATIENCE;
    const complete = () => this.#channels >= channels && performance.now() - this.#changedAt > QUIET;
    while (!complete()) {
      if (performance.now() > deadline)
        throw new Error(`only ${this.#channels} of ${channels} channels were subscribed at the load source`);
      await Bun.sleep(20);
    }
  }

  /** Plays a load and resolves when the sockets have taken all of it. */
  play(load: Load): Promise<Played> {
    return new Promise((resolve) => {
      this.#played = resolve;
      this.#child.send(load);
    });
  }

  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL");
  }
}
