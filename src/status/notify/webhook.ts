import { type Channel, post } from "./channel.ts";

/** POSTs each message as JSON. `text` is what Slack, Mattermost and their like show. */
export function webhook(url: string): Channel {
  return {
    name: "webhook",
    send: (message, signal) => post(url, message, signal),
  };
}
