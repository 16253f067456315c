/** A bucket in a process of its own: the stand-in that the tests use. */

import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import { BucketDestination, type BucketOptions } from "../../src/storage/destinations/s3.ts";

const readySchema = z.strictObject({ url: z.string() });

/** Starts one. */
export async function startBucket(): Promise<AsyncDisposable & { readonly options: BucketOptions }> {
  const ready = Promise.withResolvers<string>();
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "bucket-process.ts")], {
    stdio: ["ignore", "inherit", "inherit"],
    ipc: (message) => ready.resolve(readySchema.parse(message).url),
    onExit: (_, code) => ready.reject(new Error(`the bucket ended with ${code}`)),
  });
  const endpoint = await ready.promise;
  return {
    options: {
      name: "s3",
      endpoint,
      region: "eu-central-1",
      bucket: "lake",
      prefix: "",
      credentials: { accessKey: "AK", secretKey: "SK", sessionToken: undefined },
      connectTimeout: 5000,
      requestTimeout: 10_000,
      uploadTimeout: 60_000,
      connections: 4,
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

/** Settings of a recorder that publishes there. */
export function settingsOf({ endpoint, region, bucket, credentials }: BucketOptions): object {
  const { accessKey: access_key, secretKey: secret_key } = credentials ?? {};
  return { storage: { backend: "s3" }, s3: { endpoint, region, bucket, access_key, secret_key } };
}

/** Fetches the lake that stands in a bucket into a folder. */
export async function fetchLake(options: BucketOptions, folder: string): Promise<void> {
  const destination = new BucketDestination(options);
  const signal = new AbortController().signal;
  try {
    for await (const { key, bytes } of destination.list("v1/", signal)) {
      if (!key.endsWith(".parquet")) continue;
      const content = await destination.read(key, bytes, signal);
      if (content === null) throw new Error(`${key} is listed, and not there`);
      const path = join(folder, key);
      mkdirSync(dirname(path), { recursive: true });
      await Bun.write(path, content);
    }
  } finally {
    destination.close();
  }
}
