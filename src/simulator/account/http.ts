/** The account over HTTP: `GET /sim/account` as JSON lines, `GET /sim/account/counts`. */
import { z } from "zod";
import type { Account, AccountQuery } from "./account.ts";

const whole = z.coerce.number().int().nonnegative();
const QUERY = z.strictObject({
  symbol: z.string().optional(),
  kind: z.string().optional(),
  sent: z
    .enum(["yes", "no"])
    .transform((word) => word === "yes")
    .optional(),
  connection: whole.optional(),
  fromUs: whole.optional(),
  toUs: whole.optional(),
  after: whole.optional(),
  limit: whole.optional(),
});
const LINES_PER_CHUNK = 1000;

/** Answers what is about the account; undefined = it is not. */
export function accountOverHttp(url: URL, account: Account | undefined): Response | undefined {
  if (url.pathname !== "/sim/account" && url.pathname !== "/sim/account/counts") return undefined;
  if (account === undefined) {
    return Response.json(
      { error: "no account is kept: start with account: true (--account)" },
      { status: 404 },
    );
  }
  if (url.pathname === "/sim/account/counts") {
    return Response.json({ forgotten: account.forgotten, counts: account.counts() });
  }
  const query = QUERY.safeParse(Object.fromEntries(url.searchParams));
  if (!query.success) {
    const [issue] = query.error.issues;
    const field = issue?.code === "unrecognized_keys" ? (issue.keys[0] ?? "") : (issue?.path.join(".") ?? "");
    return Response.json({ error: `${field}: ${issue?.message ?? "is wrong"}`, field }, { status: 400 });
  }
  return new Response(lines(account, defined(query.data)), {
    headers: { "content-type": "application/x-ndjson" },
  });
}

/** A stream, since an account may be of millions of events; each chunk is made when it is asked for. */
function lines(account: Account, query: AccountQuery): ReadableStream<Uint8Array> {
  const events = account.events(query);
  const encoder = new TextEncoder();
  return new ReadableStream({
    pull(controller) {
      let chunk = "";
      for (let i = 0; i < LINES_PER_CHUNK; i++) {
        const { value, done } = events.next();
        if (done === true) {
          if (chunk !== "") controller.enqueue(encoder.encode(chunk));
          controller.close();
          return;
        }
        chunk += `${JSON.stringify(value)}\n`;
      }
      controller.enqueue(encoder.encode(chunk));
    },
  });
}

function defined(query: z.output<typeof QUERY>): AccountQuery {
  return Object.fromEntries(Object.entries(query).filter(([, value]) => value !== undefined));
}
