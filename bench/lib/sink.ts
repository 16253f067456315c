/** Takes lines of text over TCP and counts them: the database of a peer, at no cost to it. */
export class CountingSink implements Disposable {
  lines = 0;
  readonly #server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data: (_, bytes) => {
        for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, at + 1)) this.lines++;
      },
    },
  });

  get port(): number {
    return this.#server.port;
  }

  [Symbol.dispose](): void {
    this.#server.stop(true);
  }
}

const NEWLINE = 10;
