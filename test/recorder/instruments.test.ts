import { expect, test } from "bun:test";
import { RestError, restReader } from "../../src/recorder/instruments.ts";

test("a refused request names the path and how long the exchange wants to be left alone", async () => {
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: () => new Response("banned", { status: 418, headers: { "retry-after": "120" } }),
  });
  const get = restReader({
    restUrl: `http://127.0.0.1:${server.port}`,
    timeout: 5000,
    signal: new AbortController().signal,
  });
  const error: unknown = await get("/list").catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(RestError);
  if (!(error instanceof RestError)) return;
  expect(error.message).toContain("GET /list answered 418");
  expect(error.retryAfter).toBe(120_000);
  await server.stop(true);
});
