import type { Subscription } from "./exchange.ts";

/** What one connection has to carry. */
export interface ConnectionPlan {
  readonly route: string;
  readonly channels: readonly string[];
}

/** Spreads subscriptions over connections: one route each, at most `max` channels, evenly filled. */
export function planConnections(subscriptions: readonly Subscription[], max: number): ConnectionPlan[] {
  const byRoute = new Map<string, string[]>();
  for (const { route, channel } of subscriptions) {
    const channels = byRoute.get(route);
    if (channels === undefined) byRoute.set(route, [channel]);
    else channels.push(channel);
  }
  const plans: ConnectionPlan[] = [];
  for (const [route, channels] of byRoute) {
    const connections = Math.ceil(channels.length / max);
    for (let i = 0; i < connections; i++) {
      const from = Math.floor((i * channels.length) / connections);
      const to = Math.floor(((i + 1) * channels.length) / connections);
      plans.push({ route, channels: channels.slice(from, to) });
    }
  }
  return plans;
}
