import { BACKENDS, type Settings } from "../../config/schema.ts";
import type { Destination } from "./destination.ts";
import { LocalDestination } from "./local.ts";
import type { BucketDestination } from "./s3.ts";

/** The destinations that the settings name: the primary, then its fallback if there is one. */
export async function openChain(settings: Settings, lake: string): Promise<Destination[]> {
  const { backend, fallback } = settings.storage;
  const names = BACKENDS.filter((name) => name === backend || name === fallback);
  const open = names
    .sort((a, b) => Number(b === backend) - Number(a === backend))
    .map((name) =>
      name === "local" ? new LocalDestination(lake, settings.lake.disk_floor) : openBucket(settings, name),
    );
  return Promise.all(open);
}

/** The bucket that the settings `s3` or `gcs` name. */
export async function openBucket(settings: Settings, name: "s3" | "gcs"): Promise<BucketDestination> {
  const { endpoint, region, bucket, prefix, access_key, secret_key, session_token } = settings[name];
  if (bucket === undefined) throw new Error(`${name}.bucket is not set`);
  const credentials =
    access_key === undefined || secret_key === undefined
      ? undefined
      : { accessKey: access_key, secretKey: secret_key, sessionToken: session_token };
  // Not at the head of the file: without a bucket the SDK would be a seventh of what a start costs.
  const { BucketDestination } = await import("./s3.ts");
  return new BucketDestination({
    name,
    endpoint,
    region,
    bucket,
    prefix,
    credentials,
    connectTimeout: settings.upload.connect_timeout,
    requestTimeout: settings.upload.request_timeout,
    uploadTimeout: settings.upload.timeout,
    connections: settings.upload.max_in_flight,
  });
}
