/** A lake in a bucket: S3, and everything that speaks its protocol, GCS by its XML API included. */
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import type { Readable } from "node:stream";
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  type ListObjectsV2CommandOutput,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { maskUrl } from "../../config/mask.ts";
import {
  type Destination,
  DestinationError,
  type ExpectedContent,
  type FileDigest,
  type ListedObject,
  type PutFile,
  type StoredObject,
} from "./destination.ts";
import { explainError, factsOf } from "./s3-errors.ts";

/** How a bucket is reached; times in ms. */
export interface BucketOptions {
  readonly name: "s3" | "gcs";
  /** undefined = AWS. */
  readonly endpoint: string | undefined;
  readonly region: string;
  readonly bucket: string;
  /** Folder that is the lake; "" = the whole bucket. */
  readonly prefix: string;
  /** undefined = the SDK's usual chain. */
  readonly credentials:
    | { readonly accessKey: string; readonly secretKey: string; readonly sessionToken: string | undefined }
    | undefined;
  readonly connectTimeout: number;
  /** Of requests without content. */
  readonly requestTimeout: number;
  /** Of the upload of a file or a part. */
  readonly uploadTimeout: number;
  /** Connections at once. */
  readonly connections: number;
}

/** Connections for HEAD, DELETE and manifests beside those of uploads. */
const SPARE_CONNECTIONS = 4;
/** What a time limit of our own gives the SDK's before it ends the wait all the same, ms. */
const GRACE = 250;
/** Multipart uploads of one key that are looked through for leftovers. */
const LEFTOVERS_MAX = 100;
const nothing = () => undefined;
const SILENT = { trace: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing };
const CONTENT_TYPE = "application/vnd.apache.parquet";
/** Name of the metadata in which the content's SHA-256 stands. */
const SHA256 = "sha256";

/** Asks for something, more than once if it likes. */
type Again = <T>(ask: () => Promise<T>) => Promise<T>;
const once: Again = (ask) => ask();

/** See the head of the file. */
export class BucketDestination implements Destination {
  readonly name: "s3" | "gcs";
  readonly where: string;
  readonly manifests = true;
  readonly wantsMd5 = true;
  readonly #options: BucketOptions;
  readonly #client: S3Client;
  readonly #folder: string;
  /** Whether ETags are MD5s here: false once one was not, although the content was right. */
  #etagsTell = true;

  constructor(options: BucketOptions) {
    const { name, endpoint, region, bucket, prefix, credentials } = options;
    this.name = name;
    this.#options = options;
    const folder = prefix.replace(/^\/+|\/+$/g, "");
    this.#folder = folder === "" ? "" : `${folder}/`;
    this.where = `${name}://${bucket}/${folder}${endpoint === undefined ? "" : ` at ${maskUrl(endpoint)}`}`;
    this.#client = new S3Client({
      region,
      // Buckets as host names work with AWS alone; elsewhere they need DNS entries that few have.
      ...(endpoint === undefined ? {} : { endpoint, forcePathStyle: true }),
      ...(credentials === undefined
        ? {}
        : {
            credentials: {
              accessKeyId: credentials.accessKey,
              secretAccessKey: credentials.secretKey,
              ...(credentials.sessionToken === undefined ? {} : { sessionToken: credentials.sessionToken }),
            },
          }),
      // The uploader repeats, each time with a fresh stream; the SDK cannot rewind one.
      maxAttempts: 1,
      // GCS and others refuse the checksum trailers that are the SDK's default. Content-MD5 does their work.
      requestChecksumCalculation: "WHEN_REQUIRED",
      responseChecksumValidation: "WHEN_REQUIRED",
      // What it would say stands in the errors, and stdout is the log's.
      logger: SILENT,
      // Few stores answer it, and the SDK would wait for the answer before each upload.
      expectContinueHeader: false,
      requestHandler: {
        connectionTimeout: options.connectTimeout,
        requestTimeout: Math.max(options.uploadTimeout, options.requestTimeout),
        // Without it the limit above only warns.
        throwOnRequestTimeout: true,
        httpAgent: { keepAlive: true, maxSockets: options.connections + SPARE_CONNECTIONS },
        httpsAgent: { keepAlive: true, maxSockets: options.connections + SPARE_CONNECTIONS },
      },
    });
  }

  async put(file: PutFile, signal: AbortSignal): Promise<void> {
    if (file.digest.partMd5.length > 1) await this.#putParts(file, signal);
    else await this.#putWhole(file, signal);
    await this.#verify(file, signal);
  }

  async #putWhole({ path, key, digest }: PutFile, signal: AbortSignal): Promise<void> {
    const [md5] = digest.partMd5;
    if (md5 === undefined) throw new Error(`the MD5 of ${path} was not found`);
    await this.#upload(`put ${key}`, signal, path, 0, digest.bytes, (body, limit) =>
      this.#client.send(
        new PutObjectCommand({
          ...this.#at(key),
          Body: body,
          ContentLength: digest.bytes,
          ContentMD5: md5,
          ContentType: CONTENT_TYPE,
          Metadata: { [SHA256]: digest.sha256 },
        }),
        { abortSignal: limit },
      ),
    );
  }

  /** One part after the other: memory and bandwidth of a file stay those of one part. */
  async #putParts(file: PutFile, signal: AbortSignal): Promise<void> {
    const { path, key, digest, again } = file;
    const { bytes, partSize, partMd5 } = digest;
    // Left-over parts cost money for ever, and nobody sees them.
    if (again) await this.#abortLeftovers(key, signal).catch(() => undefined);
    const { UploadId } = await this.#request(`begin ${key}`, true, signal, (limit) =>
      this.#client.send(
        new CreateMultipartUploadCommand({
          ...this.#at(key),
          ContentType: CONTENT_TYPE,
          Metadata: { [SHA256]: digest.sha256 },
        }),
        { abortSignal: limit },
      ),
    );
    if (UploadId === undefined)
      throw new DestinationError(`${this.where} began an upload without an id`, "unreachable", false);
    try {
      const parts: { PartNumber: number; ETag: string }[] = [];
      for (const [index, md5] of partMd5.entries()) {
        const from = index * partSize;
        const length = Math.min(partSize, bytes - from);
        const PartNumber = index + 1;
        const doing = `put part ${PartNumber} of ${key}`;
        const { ETag } = await this.#upload(doing, signal, path, from, length, (body, limit) =>
          this.#client.send(
            new UploadPartCommand({
              ...this.#at(key),
              UploadId,
              PartNumber,
              Body: body,
              ContentLength: length,
              ContentMD5: md5,
            }),
            { abortSignal: limit },
          ),
        );
        parts.push({ PartNumber, ETag: ETag ?? "" });
      }
      // The store joins the parts before it answers, which may take as long as an upload.
      await this.#request(
        `complete ${key}`,
        true,
        signal,
        (limit) =>
          this.#client.send(
            new CompleteMultipartUploadCommand({
              ...this.#at(key),
              UploadId,
              MultipartUpload: { Parts: parts },
            }),
            { abortSignal: limit },
          ),
        this.#options.uploadTimeout,
      );
    } catch (error) {
      // Harmless if it is complete after all: then there is no such upload any more. Not under the caller's signal,
      // which may be the reason.
      await this.#abort(key, UploadId).catch(() => undefined);
      throw error;
    }
  }

  #abort(key: string, UploadId: string): Promise<unknown> {
    return this.#request(`abort ${key}`, false, new AbortController().signal, (limit) =>
      this.#client.send(new AbortMultipartUploadCommand({ ...this.#at(key), UploadId }), {
        abortSignal: limit,
      }),
    );
  }

  /** Parts that a process left behind which died in the middle of this very file. */
  async #abortLeftovers(key: string, signal: AbortSignal): Promise<void> {
    const { Bucket, Key } = this.#at(key);
    const { Uploads } = await this.#request(`list uploads of ${key}`, false, signal, (limit) =>
      this.#client.send(new ListMultipartUploadsCommand({ Bucket, Prefix: Key, MaxUploads: LEFTOVERS_MAX }), {
        abortSignal: limit,
      }),
    );
    for (const upload of Uploads ?? []) {
      if (upload.Key === Key && upload.UploadId !== undefined) await this.#abort(key, upload.UploadId);
    }
  }

  /** Whether what arrived is what was sent. */
  async #verify(file: PutFile, signal: AbortSignal): Promise<void> {
    const { key, digest } = file;
    const trouble = (message: string, kind: DestinationError["trouble"] = "unreachable") =>
      new DestinationError(`${message}: ${key} in ${this.where}`, kind, true);
    let head: HeadObjectCommandOutput | null;
    try {
      head = await this.#head(key, signal);
    } catch (error) {
      // It was taken; it is only not known to be right.
      if (error instanceof DestinationError) throw new DestinationError(error.message, error.trouble, true);
      throw error;
    }
    if (head === null) throw trouble("the store took it and does not have it");
    const stored = storedObject(head);
    let well = stored.bytes === digest.bytes && (stored.sha256 ?? digest.sha256) === digest.sha256;
    if (well && this.#etagSays(head, digest) === "other") {
      // An encrypting or simple store: its ETag is no MD5, which the content itself tells.
      well = (await this.#sha256Of(key, signal)) === digest.sha256;
      if (well) this.#etagsTell = false;
    }
    if (well) return;
    await this.remove(key, signal).catch(() => undefined);
    throw trouble(`the store does not have what it was sent (${stored.bytes} of ${digest.bytes} bytes)`);
  }

  /** What the ETag proves: MD5 of the content, or of the MD5s of its parts, where the store makes it so. */
  #etagSays(head: HeadObjectCommandOutput, { partMd5 }: FileDigest): "same" | "other" | "nothing" {
    const etag = head.ETag?.replaceAll('"', "") ?? "";
    const isMd5 = /^[0-9a-f]{32}(-\d+)?$/.test(etag);
    // Encrypted with keys of KMS or of the customer: never the MD5.
    const sse = head.ServerSideEncryption;
    const isKeyed = (sse !== undefined && sse !== "AES256") || head.SSECustomerAlgorithm !== undefined;
    const parts = partMd5.map((part) => Buffer.from(part, "base64"));
    const [whole] = parts;
    if (!this.#etagsTell || !isMd5 || isKeyed || whole === undefined) return "nothing";
    const expected =
      parts.length === 1
        ? whole.toString("hex")
        : `${new Bun.CryptoHasher("md5").update(Buffer.concat(parts)).digest("hex")}-${parts.length}`;
    return etag === expected ? "same" : "other";
  }

  async holds(
    key: string,
    { bytes, sha256, digest }: ExpectedContent,
    signal: AbortSignal,
  ): Promise<"same" | "other" | "nothing"> {
    const head = await this.#head(key, signal);
    if (head === null) return "nothing";
    const stored = storedObject(head);
    if (stored.bytes !== bytes || (stored.sha256 ?? sha256) !== sha256) return "other";
    if (digest !== null && this.#etagSays(head, digest) === "same") return "same";
    const content = await this.#sha256Of(key, signal);
    return content === null ? "nothing" : content === sha256 ? "same" : "other";
  }

  /** @param again asks for a page, more than once if it likes: a listing of many pages need not begin anew */
  async *list(prefix: string, signal: AbortSignal, again: Again = once): AsyncIterable<ListedObject> {
    for await (const { Contents } of this.#pages(prefix, {}, signal, again)) {
      for (const { Key, Size } of Contents ?? []) {
        if (Key !== undefined) yield { key: Key.slice(this.#folder.length), bytes: Size ?? 0 };
      }
    }
  }

  /** Names of the folders right below a prefix that is empty or ends with `/`; `again` as for {@link list}. */
  async *listFolders(prefix: string, signal: AbortSignal, again: Again = once): AsyncIterable<string> {
    for await (const { CommonPrefixes } of this.#pages(prefix, { Delimiter: "/" }, signal, again)) {
      for (const { Prefix } of CommonPrefixes ?? []) {
        if (Prefix !== undefined) yield Prefix.slice(this.#folder.length + prefix.length, -1);
      }
    }
  }

  /** The pages of a listing, one after the other. */
  async *#pages(
    prefix: string,
    how: { readonly Delimiter?: string },
    signal: AbortSignal,
    again: Again,
  ): AsyncIterable<ListObjectsV2CommandOutput> {
    let token: string | undefined;
    do {
      const page: ListObjectsV2CommandOutput = await again(() =>
        this.#request(`list ${prefix}`, false, signal, (limit) =>
          this.#client.send(
            new ListObjectsV2Command({
              Bucket: this.#options.bucket,
              Prefix: this.#folder + prefix,
              ...how,
              ...(token === undefined ? {} : { ContinuationToken: token }),
            }),
            { abortSignal: limit },
          ),
        ),
      );
      yield page;
      token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
    } while (token !== undefined);
  }

  async #sha256Of(key: string, signal: AbortSignal): Promise<string | null> {
    return this.#request(
      `read ${key}`,
      false,
      signal,
      async (limit) => {
        const got = await this.#get(key, limit).catch(noSuchKey);
        if (got?.Body === undefined) return null;
        const hasher = new Bun.CryptoHasher("sha256");
        for await (const chunk of got.Body as AsyncIterable<Uint8Array>) hasher.update(chunk);
        return hasher.digest("hex");
      },
      this.#options.uploadTimeout,
    );
  }

  async stat(key: string, signal: AbortSignal): Promise<StoredObject | null> {
    const head = await this.#head(key, signal);
    return head === null ? null : storedObject(head);
  }

  async #head(key: string, signal: AbortSignal): Promise<HeadObjectCommandOutput | null> {
    return this.#request(`look up ${key}`, false, signal, (limit) =>
      this.#client
        .send(new HeadObjectCommand(this.#at(key)), { abortSignal: limit })
        // HEAD has no body, so a bucket that is not there says the same; the start-up check tells the two apart.
        .catch(absent),
    );
  }

  async read(key: string, maxBytes: number, signal: AbortSignal): Promise<Uint8Array | null> {
    return this.#request(
      `read ${key}`,
      false,
      signal,
      async (limit) => {
        const got = await this.#get(key, limit, `bytes=0-${maxBytes - 1}`).catch(noneThere);
        if (got === null || got instanceof Uint8Array) return got;
        // A store that ignores Range must not fill the memory.
        if ((got.ContentLength ?? 0) > maxBytes) throw new Error(`it has ${got.ContentLength} bytes`);
        return (await got.Body?.transformToByteArray()) ?? new Uint8Array();
      },
      this.#options.uploadTimeout,
    );
  }

  /** A piece of the content at a key, and the SHA-256 noted there; null = nothing stands there. */
  async readRange(
    key: string,
    from: number,
    length: number,
    signal: AbortSignal,
  ): Promise<{ readonly content: Uint8Array; readonly sha256: string | null } | null> {
    return this.#request(
      `read ${key}`,
      false,
      signal,
      async (limit) => {
        const got = await this.#get(key, limit, `bytes=${from}-${from + length - 1}`).catch(noneThere);
        if (got === null) return null;
        if (got instanceof Uint8Array) return { content: got, sha256: null };
        if ((got.ContentLength ?? 0) > length)
          throw new Error(`the store answers with ${got.ContentLength} bytes where ${length} were asked for`);
        const content = (await got.Body?.transformToByteArray()) ?? new Uint8Array();
        return { content, sha256: got.Metadata?.[SHA256] ?? null };
      },
      this.#options.uploadTimeout,
    );
  }

  /**
   * Writes the content at a key to a file; null = nothing stands there.
   *
   * @param received called with the bytes of each piece
   */
  async download(
    key: string,
    path: string,
    signal: AbortSignal,
    received: (bytes: number) => void,
  ): Promise<{ readonly sha256: string | null } | null> {
    return this.#request(
      `read ${key}`,
      false,
      signal,
      async (limit) => {
        const got = await this.#get(key, limit).catch(noSuchKey);
        if (got === null) return null;
        const handle = await open(path, "w");
        try {
          for await (const chunk of (got.Body ?? []) as AsyncIterable<Uint8Array>) {
            await handle.writeFile(chunk);
            received(chunk.length);
          }
        } finally {
          await handle.close();
        }
        return { sha256: got.Metadata?.[SHA256] ?? null };
      },
      this.#options.uploadTimeout,
    );
  }

  #get(key: string, limit: AbortSignal, range?: string): Promise<GetObjectCommandOutput> {
    const input = { ...this.#at(key), ...(range === undefined ? {} : { Range: range }) };
    return this.#client.send(new GetObjectCommand(input), { abortSignal: limit });
  }

  async write(key: string, content: Uint8Array, signal: AbortSignal): Promise<void> {
    await this.#request(
      `write ${key}`,
      true,
      signal,
      (limit) =>
        this.#client.send(
          new PutObjectCommand({
            ...this.#at(key),
            Body: content,
            ContentLength: content.length,
            ContentMD5: new Bun.CryptoHasher("md5").update(content).digest("base64"),
          }),
          { abortSignal: limit },
        ),
      this.#options.uploadTimeout,
    );
  }

  async remove(key: string, signal: AbortSignal): Promise<void> {
    await this.#request(`remove ${key}`, true, signal, (limit) =>
      this.#client.send(new DeleteObjectCommand(this.#at(key)), { abortSignal: limit }).catch(absent),
    );
  }

  close(): void {
    this.#client.destroy();
  }

  #at(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.#options.bucket, Key: this.#folder + key };
  }

  /** A request whose body is a piece of a file, as a stream: a buffer would cost several times its size. */
  async #upload<T>(
    doing: string,
    signal: AbortSignal,
    path: string,
    from: number,
    length: number,
    send: (body: Readable, limit: AbortSignal) => Promise<T>,
  ): Promise<T> {
    return this.#request(
      doing,
      true,
      signal,
      async (limit) => {
        const body = createReadStream(path, { start: from, end: from + length - 1 });
        // Without a listener an error of the stream would end the process; the SDK itself would wait for ever.
        const broken = new Promise<never>((_, reject) => body.once("error", reject));
        broken.catch(() => undefined);
        try {
          return await Promise.race([send(body, limit), broken]);
        } finally {
          body.destroy();
        }
      },
      this.#options.uploadTimeout,
    );
  }

  /** Runs a request under a limit of time that holds even where the SDK, or what it asks for credentials, does not. */
  async #request<T>(
    doing: string,
    writes: boolean,
    signal: AbortSignal,
    send: (limit: AbortSignal) => Promise<T>,
    timeout = this.#options.requestTimeout,
  ): Promise<T> {
    const controller = new AbortController();
    const stop = () => controller.abort(signal.reason);
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
    const late = new Error(`no answer within ${timeout} ms`);
    const soft = setTimeout(() => controller.abort(late), timeout);
    const ended = Promise.withResolvers<never>();
    ended.promise.catch(() => undefined);
    let hard: ReturnType<typeof setTimeout> | undefined;
    // The SDK ends by itself as a rule, and knows no more of the end than that there was one.
    const end = () => {
      hard = setTimeout(() => ended.reject(late), GRACE);
    };
    if (controller.signal.aborted) ended.reject(late);
    else controller.signal.addEventListener("abort", end, { once: true });
    try {
      return await Promise.race([send(controller.signal), ended.promise]);
    } catch (error) {
      const why = !controller.signal.aborted ? error : signal.aborted ? broken(signal) : late;
      throw explainError(why, { doing, where: this.where, prefix: this.name.toUpperCase(), writes });
    } finally {
      clearTimeout(soft);
      clearTimeout(hard);
      signal.removeEventListener("abort", stop);
    }
  }
}

function storedObject(head: HeadObjectCommandOutput): StoredObject {
  return { bytes: head.ContentLength ?? -1, sha256: head.Metadata?.[SHA256] ?? null };
}

/** Nothing there is an answer; everything else stays an error. */
function absent(error: unknown): null {
  const { name, status } = factsOf(error);
  if (name === "NotFound" || name === "NoSuchKey" || (status === 404 && name !== "NoSuchBucket")) return null;
  throw error;
}

/** As {@link noSuchKey}; of an object that ends before a range there is nothing in it, which stores call an error. */
function noneThere(error: unknown): Uint8Array | null {
  return factsOf(error).status === 416 ? new Uint8Array() : noSuchKey(error);
}

function noSuchKey(error: unknown): null {
  if (factsOf(error).name === "NoSuchKey") return null;
  throw error;
}

/** Why a caller broke off. */
function broken(signal: AbortSignal): Error {
  const late = signal.reason instanceof DOMException && signal.reason.name === "TimeoutError";
  return new Error(late ? "no answer in time" : "it was broken off");
}
