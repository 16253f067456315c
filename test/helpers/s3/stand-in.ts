/**
 * A stand-in for a bucket: the S3 protocol over loopback, strict where stores differ (signatures are checked, checksum
 * trailers refused as GCS does), and faulty on demand. It shares nothing with what it tests.
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type Keys, signatureFault } from "./signature.ts";

/** What a request asks for. */
export type Operation =
  | "put"
  | "get"
  | "head"
  | "delete"
  | "begin"
  | "part"
  | "complete"
  | "abort"
  | "uploads"
  | "list";

/**
 * What goes wrong with a request: an error answer; no answer, before or after it is carried out; a reset in the middle of the
 * body or after it was carried out; one byte altered, nothing stored in spite of the answer, or an answer that comes late.
 */
export type Fault =
  | { readonly kind: "error"; readonly status: number; readonly code: string }
  | { readonly kind: "hang" | "stored-hang" | "reset" | "stored-reset" | "corrupt" | "forget" }
  | { readonly kind: "late"; readonly ms: number };

/** Errors of the protocol. */
export const FAULTS = {
  internal: { kind: "error", status: 500, code: "InternalError" },
  slowDown: { kind: "error", status: 503, code: "SlowDown" },
  badGateway: { kind: "error", status: 502, code: "" },
  expired: { kind: "error", status: 400, code: "ExpiredToken" },
  denied: { kind: "error", status: 403, code: "AccessDenied" },
  badDigest: { kind: "error", status: 400, code: "BadDigest" },
  full: { kind: "error", status: 507, code: "" },
  hang: { kind: "hang" },
  storedHang: { kind: "stored-hang" },
  reset: { kind: "reset" },
  storedReset: { kind: "stored-reset" },
  corrupt: { kind: "corrupt" },
  forget: { kind: "forget" },
} as const satisfies Record<string, Fault>;

/** Something that is stored. */
export interface Stored {
  readonly bytes: Buffer;
  readonly etag: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/** A request that was made. */
export interface Seen {
  readonly operation: Operation;
  readonly key: string;
  /** ms, monotonic. */
  readonly at: number;
  /** Requests of this operation, for files or for other objects, under way with it, itself included. */
  readonly beside: number;
  readonly bytes: number;
}

interface Multipart {
  readonly key: string;
  readonly metadata: Record<string, string>;
  readonly parts: Map<number, { bytes: Buffer; etag: string }>;
}

/** Smallest part but the last, as S3 demands. */
const PART_MIN = 5 * 1024 * 1024;
/** Keys of one answer to a listing: few, so that every test turns pages. */
const LIST_PAGE = 10;
/** Largest body that is taken: that no test sends more is part of what is tested. */
const BODY_MAX = 64 * 1024 * 1024;

const md5 = (bytes: Buffer) => createHash("md5").update(bytes);

/** Starts one on a free port. */
export async function startStandIn(
  options: { bucket?: string; keys?: Keys; port?: number } = {},
): Promise<StandIn> {
  const standIn = new StandIn(options.bucket ?? "lake", options.keys ?? { accessKey: "AK", secretKey: "SK" });
  await standIn.open(options.port ?? 0);
  return standIn;
}

/** One that is running. */
export class StandIn implements AsyncDisposable {
  readonly objects = new Map<string, Stored>();
  readonly uploads = new Map<string, Multipart>();
  readonly seen: Seen[] = [];
  /** What happens to each request from now on; null = what shall. */
  fault: ((operation: Operation, key: string) => Fault | null) | null = null;
  /** How far this server's clock is from the true one, ms. */
  clockOffset = 0;
  /** Answer ETags that are no MD5, as encrypting stores do. */
  strangeEtags = false;
  readonly #underWay = new Map<string, number>();
  /** Uploads carried out by key: more than one is a file sent twice. */
  readonly puts = new Map<string, number>();
  /** Bytes of all answers, listings included. */
  sent = 0;
  readonly #server = createServer((request, response) => void this.#serve(request, response));
  #nextUpload = 1;
  #port = 0;

  constructor(
    readonly bucket: string,
    readonly keys: Keys,
  ) {}

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  open(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, "127.0.0.1", () => {
        this.#port = (this.#server.address() as AddressInfo).port;
        resolve();
      });
    });
  }

  /** The next `times` requests of an operation go wrong; of one key, where one is named. */
  fail(fault: Fault, operation: Operation, times = 1, key?: string): void {
    let left = times;
    this.fault = (found, at) =>
      found === operation && (key === undefined || key === at) && left-- > 0 ? fault : null;
  }

  /** Everything goes wrong, until `back`. */
  away(fault: Fault): void {
    this.fault = () => fault;
  }

  back(): void {
    this.fault = null;
  }

  /** Requests of an operation. */
  of(operation: Operation): Seen[] {
    return this.seen.filter((one) => one.operation === operation);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await this.#handle(request, response);
    } catch (error) {
      if (!response.headersSent) this.#error(response, 500, "InternalError", String(error));
    }
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<unknown> {
    const url = request.url ?? "/";
    const [path = "", search = ""] = url.split("?");
    const query = new URLSearchParams(search);
    const [, bucket = "", ...rest] = path.split("/").map(decodeURIComponent);
    const key = rest.join("/");
    const method = request.method ?? "";
    const operation = operationOf(method, key, query);
    const fault = operation === null ? null : (this.fault?.(operation, key) ?? null);
    const announced = Number(request.headers["content-length"] ?? 0);
    const kind = `${operation} ${key.endsWith(".parquet")}`;
    const beside = (this.#underWay.get(kind) ?? 0) + 1;
    if (operation !== null)
      this.seen.push({ operation, key, at: performance.now(), beside, bytes: announced });
    this.#underWay.set(kind, beside);
    try {
      return await this.#answer({
        request,
        response,
        url,
        method,
        bucket,
        key,
        query,
        operation,
        fault,
        announced,
      });
    } finally {
      this.#underWay.set(kind, (this.#underWay.get(kind) ?? 1) - 1);
    }
  }

  async #answer(options: {
    request: IncomingMessage;
    response: ServerResponse;
    url: string;
    method: string;
    bucket: string;
    key: string;
    query: URLSearchParams;
    operation: Operation | null;
    fault: Fault | null;
    announced: number;
  }): Promise<unknown> {
    const { request, response, url, method, bucket, key, query, operation, fault, announced } = options;
    if (fault?.kind === "late") await Bun.sleep(fault.ms);
    if (fault?.kind === "reset") {
      await bodyOf(request, Math.floor(announced / 2));
      return request.socket.destroy();
    }
    if (fault?.kind === "hang") return bodyOf(request);
    const body = await bodyOf(request);
    if (body.length > BODY_MAX) return this.#error(response, 400, "EntityTooLarge");
    if (fault?.kind === "error") return this.#error(response, fault.status, fault.code);

    const now = Date.now() + this.clockOffset;
    const wrong = signatureFault({ method, url, headers: request.headers }, this.keys, now);
    if (wrong !== null) return this.#error(response, 403, wrong);
    // As GCS does; others answer 501.
    const trailers = Object.keys(request.headers).filter((name) =>
      /^x-amz-(trailer|checksum-|sdk-checksum)/.test(name),
    );
    if (trailers.length > 0 || String(request.headers["content-encoding"]).includes("aws-chunked"))
      return this.#error(response, 400, "InvalidArgument", `unsupported: ${trailers.join()}`);
    if (bucket !== this.bucket) return this.#error(response, 404, "NoSuchBucket");
    if (operation === null) return this.#error(response, 501, "NotImplemented");
    if (announced !== body.length) return this.#error(response, 400, "IncompleteBody");
    const digest = request.headers["content-md5"];
    if ((operation === "put" || operation === "part") && digest === undefined)
      return this.#error(response, 400, "InvalidDigest", "no Content-MD5");
    if (digest !== undefined && digest !== md5(body).digest("base64"))
      return this.#error(response, 400, "BadDigest");
    return this.#carryOut({ operation, key, query, body, headers: request.headers, fault, response });
  }

  #carryOut(options: {
    operation: Operation;
    key: string;
    query: URLSearchParams;
    body: Buffer;
    headers: IncomingMessage["headers"];
    fault: Fault | null;
    response: ServerResponse;
  }): unknown {
    const { operation, key, query, body, headers, fault, response } = options;
    const answer = (status: number, head: Record<string, string | number>, content?: string | Buffer) => {
      if (fault?.kind === "stored-hang") return null;
      if (fault?.kind === "stored-reset") return response.socket?.destroy();
      this.sent += content === undefined ? 0 : Buffer.byteLength(content);
      response.writeHead(status, { ...this.#common(), ...head });
      return response.end(content);
    };
    const store = (bytes: Buffer, metadata: Record<string, string>, etag: string) => {
      this.puts.set(key, (this.puts.get(key) ?? 0) + 1);
      if (fault?.kind === "forget") return;
      if (fault?.kind === "corrupt") bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
      const own = fault?.kind === "corrupt" ? md5(bytes).digest("hex") : etag;
      const strange = createHash("sha256").update(own).digest("hex").slice(0, 32);
      this.objects.set(key, { bytes, metadata, etag: this.strangeEtags ? strange : own });
    };
    const multipart = this.uploads.get(query.get("uploadId") ?? "");
    switch (operation) {
      case "put": {
        const etag = md5(body).digest("hex");
        store(body, metadataOf(headers), etag);
        return answer(200, { etag: `"${etag}"` });
      }
      case "begin": {
        const id = `upload-${this.#nextUpload++}`;
        this.uploads.set(id, { key, metadata: metadataOf(headers), parts: new Map() });
        return answer(
          200,
          { "content-type": "application/xml" },
          `<?xml version="1.0"?><InitiateMultipartUploadResult><Bucket>${this.bucket}</Bucket><Key>${xml(key)}</Key><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`,
        );
      }
      case "part": {
        if (multipart === undefined) return this.#error(response, 404, "NoSuchUpload");
        const etag = md5(body).digest("hex");
        multipart.parts.set(Number(query.get("partNumber")), { bytes: body, etag });
        return answer(200, { etag: `"${etag}"` });
      }
      case "complete": {
        if (multipart === undefined) return this.#error(response, 404, "NoSuchUpload");
        const named = [...body.toString().matchAll(/<PartNumber>(\d+)<\/PartNumber>/g)].map(([, n]) =>
          Number(n),
        );
        const parts = named.map((number) => multipart.parts.get(number));
        if (parts.length === 0 || parts.some((part) => part === undefined))
          return this.#error(response, 400, "InvalidPart");
        if (parts.slice(0, -1).some((part) => (part?.bytes.length ?? 0) < PART_MIN))
          return this.#error(response, 400, "EntityTooSmall");
        const joined = Buffer.concat(parts.map((part) => part?.bytes ?? Buffer.alloc(0)));
        const etags = Buffer.concat(parts.map((part) => Buffer.from(part?.etag ?? "", "hex")));
        const etag = `${md5(etags).digest("hex")}-${parts.length}`;
        this.uploads.delete(query.get("uploadId") ?? "");
        store(joined, multipart.metadata, etag);
        return answer(
          200,
          { "content-type": "application/xml" },
          `<?xml version="1.0"?><CompleteMultipartUploadResult><Key>${xml(key)}</Key><ETag>"${etag}"</ETag></CompleteMultipartUploadResult>`,
        );
      }
      case "abort":
        if (!this.uploads.delete(query.get("uploadId") ?? ""))
          return this.#error(response, 404, "NoSuchUpload");
        return answer(204, {});
      case "uploads": {
        const prefix = query.get("prefix") ?? "";
        const found = [...this.uploads].filter(([, upload]) => upload.key.startsWith(prefix));
        return answer(
          200,
          { "content-type": "application/xml" },
          `<?xml version="1.0"?><ListMultipartUploadsResult>${found.map(([id, upload]) => `<Upload><Key>${xml(upload.key)}</Key><UploadId>${id}</UploadId></Upload>`).join("")}</ListMultipartUploadsResult>`,
        );
      }
      case "head":
      case "get": {
        const stored = this.objects.get(key);
        if (stored === undefined) return this.#error(response, 404, "NoSuchKey");
        const range = /^bytes=(\d+)-(\d+)$/.exec(String(headers.range ?? ""));
        if (range !== null && Number(range[1]) >= stored.bytes.length)
          return this.#error(response, 416, "InvalidRange");
        const bytes =
          range === null ? stored.bytes : stored.bytes.subarray(Number(range[1]), Number(range[2]) + 1);
        const metadata = Object.entries(stored.metadata).map(([name, value]) => [
          `x-amz-meta-${name}`,
          value,
        ]);
        return answer(
          range === null || operation === "head" ? 200 : 206,
          {
            etag: `"${stored.etag}"`,
            "content-length": bytes.length,
            ...Object.fromEntries(metadata),
          },
          operation === "head" ? undefined : bytes,
        );
      }
      case "delete":
        if (fault?.kind !== "forget") this.objects.delete(key);
        return answer(204, {});
      case "list": {
        const prefix = query.get("prefix") ?? "";
        const all = [...this.objects.keys()].filter((name) => name.startsWith(prefix)).sort();
        const after = query.get("continuation-token") ?? "";
        const delimiter = query.get("delimiter");
        const entry = (name: string): string => {
          const end = delimiter === null ? -1 : name.indexOf(delimiter, prefix.length);
          return end < 0 ? name : name.slice(0, end + 1);
        };
        const rest = [...new Set(all.map(entry))].filter((name) => name > after);
        const page = rest.slice(0, LIST_PAGE);
        const more = rest.length > page.length;
        const contents = page.map((name) =>
          delimiter !== null && name.endsWith(delimiter)
            ? `<CommonPrefixes><Prefix>${xml(name)}</Prefix></CommonPrefixes>`
            : `<Contents><Key>${xml(name)}</Key><Size>${this.objects.get(name)?.bytes.length}</Size></Contents>`,
        );
        return answer(
          200,
          { "content-type": "application/xml" },
          `<?xml version="1.0"?><ListBucketResult><IsTruncated>${more}</IsTruncated>${more ? `<NextContinuationToken>${xml(page.at(-1) ?? "")}</NextContinuationToken>` : ""}${contents.join("")}</ListBucketResult>`,
        );
      }
    }
  }

  #common(): Record<string, string> {
    return { date: new Date(Date.now() + this.clockOffset).toUTCString(), "x-amz-request-id": "stand-in" };
  }

  #error(response: ServerResponse, status: number, code: string, message = code): ServerResponse {
    response.writeHead(status, { ...this.#common(), "content-type": "application/xml" });
    // Without a code: an intermediary that knows nothing of the protocol.
    return response.end(
      code === ""
        ? "<html>out of order</html>"
        : `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${xml(message)}</Message></Error>`,
    );
  }
}

function operationOf(method: string, key: string, query: URLSearchParams): Operation | null {
  if (method === "GET" && key === "") return query.has("uploads") ? "uploads" : "list";
  if (method === "HEAD") return "head";
  if (method === "GET") return "get";
  if (method === "PUT") return query.has("partNumber") ? "part" : "put";
  if (method === "DELETE") return query.has("uploadId") ? "abort" : "delete";
  if (method === "POST" && query.has("uploads")) return "begin";
  return method === "POST" && query.has("uploadId") ? "complete" : null;
}

function metadataOf(headers: IncomingMessage["headers"]): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      name.startsWith("x-amz-meta-") ? [[name.slice("x-amz-meta-".length), String(value)]] : [],
    ),
  );
}

/** The body, or its first bytes. */
async function bodyOf(request: IncomingMessage, enough = Number.POSITIVE_INFINITY): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes >= enough) break;
  }
  return Buffer.concat(chunks);
}

const xml = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
