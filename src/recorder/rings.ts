import type { Settings } from "../config/schema.ts";
import { LAYOUTS } from "../events/layout.ts";
import type { Stream } from "../events/streams.ts";
import { exchangeByName } from "../exchanges/exchanges.ts";
import { createRing, type RingViews, viewsOf } from "../ring/memory.ts";
import type { RingSpec } from "../storage/drain.ts";

/** A ring as the main thread sees it. */
export interface RunRing extends RingSpec {
  readonly views: RingViews;
  /** Rows of it that have arrived at the destination. */
  published: number;
}

/** The streams to record of an exchange: those asked for that it has. */
export function streamsOf(exchange: string, settings: Settings): Stream[] {
  return exchangeByName(exchange).streams.filter((stream) => settings.record.streams.includes(stream));
}

/** One ring per recorded (exchange, stream), numbered. */
export function createRings(settings: Settings): RunRing[] {
  const rings: RunRing[] = [];
  for (const exchange of settings.record.exchanges) {
    for (const stream of streamsOf(exchange, settings)) {
      const { numbers, texts } = LAYOUTS[stream];
      const handle = createRing({
        capacity: settings.ring.capacity[stream],
        numbers: numbers.length,
        texts: texts.length,
      });
      const views = viewsOf(handle);
      rings.push({ ring: rings.length, exchange, stream, handle, views, published: 0 });
    }
  }
  return rings;
}
