import type { Subscription } from "./exchange.ts";

/** What one connection has to carry. */
export interface ConnectionPlan {
  readonly route: string;
  readonly channels: readonly string[];
}

/** What a connection can carry. */
export interface ConnectionLimits {
  readonly channels: number;
  /** Characters of all channels together, as a list in JSON; null = no such limit. */
  readonly characters: number | null;
}

/** Characters that a channel takes in a list in JSON beside its name: two quotes and a comma. */
const AROUND_NAME = 3;
/** Characters of such a list beside its channels: the brackets, without the comma behind the last. */
const AROUND_LIST = 1;

/** What has to change so that connections carry exactly what is wanted. */
export interface Changes {
  /** For each connection, in the order given: what to take up and what to give up. */
  readonly updates: readonly { readonly add: readonly string[]; readonly remove: readonly string[] }[];
  /** Connections to open. */
  readonly open: readonly ConnectionPlan[];
}

/**
 * Compares what connections carry with what is wanted: what is no longer wanted goes, what is missing
 * goes where there is room, the rest to new connections, evenly filled. Nothing that is right is touched.
 */
export function planChanges(
  current: readonly { readonly route: string; readonly channels: ReadonlySet<string> }[],
  wanted: readonly Subscription[],
  limits: ConnectionLimits,
): Changes {
  const missing = new Map<string, Set<string>>();
  for (const { route, channel } of wanted) {
    const channels = missing.get(route);
    if (channels === undefined) missing.set(route, new Set([channel]));
    else channels.add(channel);
  }
  const updates = current.map(({ route, channels }) => {
    const wantedHere = missing.get(route);
    const remove = [...channels].filter((channel) => !wantedHere?.has(channel));
    for (const channel of channels) wantedHere?.delete(channel);
    return { add: [] as string[], remove };
  });
  current.forEach(({ route, channels }, index) => {
    const update = updates[index];
    const rest = missing.get(route);
    if (update === undefined || rest === undefined) return;
    const removed = new Set(update.remove);
    const room = new Room(limits);
    for (const channel of channels) if (!removed.has(channel)) room.take(channel);
    for (const channel of rest) {
      if (!room.take(channel)) break;
      update.add.push(channel);
      rest.delete(channel);
    }
  });
  const open: ConnectionPlan[] = [];
  for (const [route, channels] of missing) {
    for (const part of evenParts([...channels], limits)) open.push({ route, channels: part });
  }
  return { updates, open };
}

/**
 * Splits the channels of a connection that carries more than it can into two of about the same rate.
 *
 * @param rateOf how much a channel brings, in any unit
 * @returns two parts, neither empty, for two channels or more
 */
export function splitByRate(channels: readonly string[], rateOf: (channel: string) => number): string[][] {
  const rated = channels.map((channel) => ({ channel, rate: rateOf(channel) }));
  rated.sort((a, b) => b.rate - a.rate);
  const a = { rate: 0, channels: [] as string[] };
  const b = { rate: 0, channels: [] as string[] };
  for (const { channel, rate } of rated) {
    const fewer = a.channels.length <= b.channels.length ? a : b;
    // Where rates are equal, as when none is known, the numbers of channels decide.
    const lighter = a.rate === b.rate ? fewer : a.rate < b.rate ? a : b;
    lighter.rate += rate;
    lighter.channels.push(channel);
  }
  return [a.channels, b.channels];
}

/** Counts what still fits on a connection. */
class Room {
  #channels = 0;
  #characters = AROUND_LIST;

  constructor(readonly limits: ConnectionLimits) {}

  /** Takes a channel if it fits; one that is too long by itself still gets a connection of its own. */
  take(channel: string): boolean {
    const { channels, characters } = this.limits;
    if (this.#channels >= channels) return false;
    const length = channel.length + AROUND_NAME;
    const tooLong = characters !== null && this.#characters + length > characters;
    if (tooLong && this.#channels > 0) return false;
    this.#channels++;
    this.#characters += length;
    return true;
  }
}

/** Splits channels into as few parts as the limits allow, all about equally long. */
function evenParts(channels: readonly string[], limits: ConnectionLimits): string[][] {
  if (channels.length === 0) return [];
  const characters = channels.reduce((sum, channel) => sum + channel.length + AROUND_NAME, AROUND_LIST);
  const byCharacters = limits.characters === null ? 1 : Math.ceil(characters / limits.characters);
  const parts = Math.max(Math.ceil(channels.length / limits.channels), byCharacters);
  const result: string[][] = [];
  for (let at = 0; at < channels.length; ) {
    // An even share of what is left; the last part, and any that characters make necessary, take what fits.
    const partsLeft = Math.max(1, parts - result.length);
    const share = Math.min(limits.channels, Math.ceil((channels.length - at) / partsLeft));
    const room = new Room({ channels: share, characters: limits.characters });
    const from = at;
    while (at < channels.length && room.take(channels[at])) at++;
    result.push(channels.slice(from, at));
  }
  return result;
}
