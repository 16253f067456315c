/** The destinations of the settings, to read from and to write to. */
import type { Settings } from "../config/schema.ts";
import { openChain } from "../storage/destinations/chain.ts";
import type { Destination } from "../storage/destinations/destination.ts";
import type { BucketDestination } from "../storage/destinations/s3.ts";
import type { Scratch } from "../verify/scratch.ts";
import { BucketSource, FolderSource, type LakeSource } from "../verify/source.ts";

/** A destination and the way to read it. */
export interface Place {
  readonly destination: Destination;
  readonly source: LakeSource;
}

/** The primary, then its fallback if there is one. */
export async function openPlaces(settings: Settings, lake: string, scratch: Scratch): Promise<Place[]> {
  return (await openChain(settings, lake)).map((destination) => ({
    destination,
    source: isBucket(destination) ? new BucketSource(destination, scratch) : new FolderSource(lake),
  }));
}

function isBucket(destination: Destination): destination is BucketDestination {
  return destination.name !== "local";
}
