/** Real proxies on loopback, written from their protocols: HTTP (RFC 9110, CONNECT) and SOCKS5 (RFC 1928, 1929). */
import { readFileSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { createServer as createTlsServer } from "node:tls";

const TLS = join(import.meta.dir, "tls");
/** Path of the authority's certificate. */
export const CA_FILE = join(TLS, "ca.pem");
/** The authority that signed {@link CERTIFICATE}, PEM. */
export const CA = readFileSync(CA_FILE, "utf8");
/** Certificate and key of `localhost` and `127.0.0.1`. */
export const CERTIFICATE = {
  cert: readFileSync(join(TLS, "server.pem"), "utf8"),
  key: readFileSync(join(TLS, "server.key"), "utf8"),
};

/** A certificate of the same authority for another name, `other.test`. */
export const OTHER_CERTIFICATE = { cert: readFileSync(join(TLS, "other.pem"), "utf8"), key: CERTIFICATE.key };

/** Who is let through. */
export interface Account {
  readonly user: string;
  readonly password: string;
}

/** Speaks TLS with {@link CERTIFICATE} and hands on what it holds to a port that does not. */
export class TlsFront implements AsyncDisposable {
  /** Connections taken. */
  taken = 0;
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  #port = 0;

  constructor(port: number) {
    this.#server = createTlsServer(CERTIFICATE, (client) => {
      this.taken++;
      const target = connect(port, "127.0.0.1");
      for (const [one, other] of [
        [client, target],
        [target, client],
      ] as const) {
        this.#sockets.add(one);
        one.on("error", () => one.destroy());
        one.on("close", () => {
          this.#sockets.delete(one);
          other.destroySoon();
        });
        one.pipe(other);
      }
    });
  }

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    this.#port = address.port;
    return this;
  }

  get port(): number {
    return this.#port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

/** What both kinds have in common. */
abstract class LoopbackProxy implements AsyncDisposable {
  /** Every target that was asked for, `host:port`. */
  readonly asked: string[] = [];
  /** Takes connections, says nothing. */
  deaf = false;
  readonly #sockets = new Set<Socket>();
  #server: Server;
  #port = 0;

  constructor(
    public account: Account | null,
    secure = false,
  ) {
    const take = (socket: Socket) => {
      this.keep(socket);
      // Who does not read does not see the end of a connection either.
      if (this.deaf) socket.resume();
      else this.serve(socket);
    };
    this.#server = secure ? createTlsServer(CERTIFICATE, take) : createServer(take);
  }

  /** Listens, on the same port as before if it has listened before. */
  async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(this.#port, "127.0.0.1", resolve));
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    this.#port = address.port;
    return this;
  }

  get port(): number {
    return this.#port;
  }

  /** Sockets open now, both sides. */
  get open(): number {
    return this.#sockets.size;
  }

  /** `user:password@` as it stands in a URL. */
  static userinfo({ user, password }: Account): string {
    return `${encodeURIComponent(user)}:${encodeURIComponent(password)}@`;
  }

  protected abstract serve(client: Socket): void;

  protected keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#sockets.delete(socket));
  }

  /** Connects to a target; `ready` writes what has to be written first. */
  protected relay(client: Socket, host: string, port: number, ready: (target: Socket) => void): void {
    const target = connect(port, host, () => {
      ready(target);
      client.pipe(target);
      target.pipe(client);
    });
    this.keep(target);
    target.on("close", () => client.destroySoon());
    client.on("close", () => target.destroySoon());
  }

  /** Breaks every connection. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Goes down; {@link listen} brings it back. */
  async down(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.cut();
    await closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.down();
  }
}

/** An HTTP proxy: tunnels by CONNECT, and single requests to http:// with the whole URL in the first line. */
export class HttpProxy extends LoopbackProxy {
  protected serve(client: Socket): void {
    let read = "";
    const onData = (data: Buffer) => {
      read += data.toString("latin1");
      const end = read.indexOf("\r\n\r\n");
      if (end < 0) return;
      client.off("data", onData);
      const head = read.slice(0, end);
      const { account } = this;
      const given = /^proxy-authorization: basic (.*)$/im.exec(head)?.[1];
      const wanted = account && Buffer.from(`${account.user}:${account.password}`).toString("base64");
      const [method, target = ""] = head.split(" ");
      const url = new URL(method === "CONNECT" ? `http://${target}` : target);
      this.asked.push(url.host);
      if (wanted !== null && given !== wanted) {
        client.end("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
        return;
      }
      this.relay(client, url.hostname, Number(url.port), (to) => {
        if (method === "CONNECT") client.write("HTTP/1.1 200 OK\r\n\r\n");
        else to.write(Buffer.from(read, "latin1"));
      });
    };
    client.on("data", onData);
  }
}

/** A SOCKS5 proxy: CONNECT, without or with user and password. */
export class SocksProxy extends LoopbackProxy {
  /** What a CONNECT is answered with; 0 = granted. */
  reply = 0;

  protected serve(client: Socket): void {
    let read: Buffer = Buffer.alloc(0);
    const steps = this.#steps(client);
    let wanted = Number(steps.next().value);
    const onData = (data: Buffer) => {
      read = Buffer.concat([read, data]);
      while (read.length >= wanted && wanted > 0) {
        const step = steps.next(read.subarray(0, wanted));
        read = read.subarray(wanted);
        wanted = step.done ? 0 : step.value;
      }
      if (wanted === 0) client.off("data", onData);
    };
    client.on("data", onData);
  }

  /** The handshake: yields how many bytes it needs next, gets them. */
  *#steps(client: Socket): Generator<number, void, Buffer> {
    const [version = 0, count = 0] = yield 2;
    const methods = yield count;
    const method = this.account === null ? 0 : 2;
    const fits = version === 5 && methods.includes(method);
    client.write(Buffer.from([5, fits ? method : 255]));
    if (!fits) return void client.end();
    if (this.account !== null) {
      const [, userLength = 0] = yield 2;
      const user = (yield userLength).toString();
      const [passwordLength = 0] = yield 1;
      const password = (yield passwordLength).toString();
      const right = user === this.account.user && password === this.account.password;
      client.write(Buffer.from([1, right ? 0 : 1]));
      if (!right) return void client.end();
    }
    const [, , , type] = yield 4;
    const host =
      type === 1 ? [...(yield 4)].join(".") : type === 3 ? (yield (yield 1)[0] ?? 0).toString() : "::1";
    if (type === 4) yield 16;
    const port = (yield 2).readUInt16BE();
    this.asked.push(`${host}:${port}`);
    const answer = Buffer.from([5, this.reply, 0, 1, 0, 0, 0, 0, 0, 0]);
    if (this.reply !== 0) return void client.end(answer);
    this.relay(client, host, port, () => client.write(answer));
  }
}
