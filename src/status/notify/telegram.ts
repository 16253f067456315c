import { z } from "zod";
import { type Channel, post } from "./channel.ts";

/** Characters of a message; the Bot API's limit is 4096 (https://core.telegram.org/bots/api#sendmessage). */
const TEXT_MAX = 4000;

/** What a 429 says (https://core.telegram.org/bots/api#responseparameters), seconds. */
const refusal = z.looseObject({
  parameters: z.looseObject({ retry_after: z.number().nonnegative().max(86_400) }),
});

/** Sends each message to a chat by a bot. The token stands in the URL, as the Bot API wants it. */
export function telegram(base: string, token: string, chat: string): Channel {
  const url = `${base}/bot${token}/sendMessage`;
  return {
    name: "telegram",
    send: ({ text }, signal) =>
      post(
        url,
        // Without parse_mode: what a server says is text, not markup.
        { chat_id: chat, text: shortened(text), link_preview_options: { is_disabled: true } },
        signal,
        retryAfterOf,
      ),
  };
}

/** Whole lines up to the limit: the headline and the newest. */
function shortened(text: string): string {
  if (text.length <= TEXT_MAX) return text;
  const [headline = "", ...lines] = text.split("\n");
  let room = TEXT_MAX - headline.length - 2;
  const kept = lines.toReversed().filter((line) => {
    room = room < line.length ? 0 : room - line.length - 1;
    return room > 0;
  });
  return [headline, "…", ...kept.reverse()].join("\n");
}

function retryAfterOf(body: string): number {
  try {
    const parsed = refusal.safeParse(JSON.parse(body));
    return parsed.success ? parsed.data.parameters.retry_after * 1000 : 0;
  } catch {
    return 0;
  }
}
