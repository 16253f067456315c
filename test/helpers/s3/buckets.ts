/** Destinations as the tests reach them. */
import { BucketDestination, type BucketOptions } from "../../../src/storage/destinations/s3.ts";
import type { Keys } from "./signature.ts";

/** A bucket that is reached over the S3 protocol, with limits that no answer reaches that comes at all. */
export function bucketAt(
  server: { readonly url: string; readonly bucket: string; readonly keys: Keys },
  options: Partial<BucketOptions> = {},
): BucketDestination {
  return new BucketDestination({
    name: "s3",
    endpoint: server.url,
    region: "us-east-1",
    bucket: server.bucket,
    prefix: "",
    credentials: { ...server.keys, sessionToken: undefined },
    connectTimeout: 30_000,
    requestTimeout: 30_000,
    uploadTimeout: 30_000,
    connections: 16,
    ...options,
  });
}
