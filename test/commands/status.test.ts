/** `tapedeck status` and `tapedeck healthcheck` against what may stand at an address. */
import { afterAll, describe, expect, test } from "bun:test";
import { tapedeck as run } from "../cli/run.ts";
import { tapedeck } from "../helpers/process.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { waitFor } from "../helpers/wait.ts";
import { sampleLive } from "../status/page/sample.ts";

const cwd = scratchFolder("status");
const servers: { stop(closeNow: boolean): unknown }[] = [];
afterAll(() => Promise.all(servers.map((server) => server.stop(true))));

/** An HTTP server with one answer; resolves to its base. */
function answering(answer: (path: string) => Response | Promise<Response>): string {
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    fetch: ({ url }) => answer(new URL(url).pathname),
  });
  servers.push(server);
  return `http://127.0.0.1:${server.port}`;
}

/** A port where nobody listens. */
async function nobody(): Promise<string> {
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
  const { port } = server;
  await server.stop(true);
  return `127.0.0.1:${port}`;
}

const recorder = answering((path) =>
  path === "/live" ? Response.json(sampleLive()) : Response.json({ status: "ok" }, { status: 200 }),
);

describe.concurrent("tapedeck status", () => {
  test("shows a recorder, by address, by --port and by environment, without colours off a terminal", async () => {
    const port = new URL(recorder).port;
    const outcomes = await Promise.all([
      run(["status", recorder], { cwd }),
      run(["status", `${recorder}/`], { cwd }),
      run(["status", `127.0.0.1:${port}`], { cwd }),
      run(["status", "--port", port], { cwd }),
      run(["status"], { cwd, env: { TAPEDECK_STATUS_PORT: port, TAPEDECK_STATUS_HOST: "0.0.0.0" } }),
    ]);
    for (const { code, stdout, stderr } of outcomes) {
      expect([code, stderr]).toEqual([0, ""]);
      expect(stdout).toStartWith("✓ READY  all is well\n");
      expect(stdout).not.toContain("\x1b");
    }
  }, 180_000);

  test("--json is the picture as it came", async () => {
    const { code, stdout } = await run(["status", recorder, "--json"], { cwd });
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual(sampleLive());
  }, 180_000);

  test("says what is wrong and what helps, with the exit code of it", async () => {
    const silent = answering(() => new Promise<Response>(() => undefined));
    const cases: [string[], number, RegExp][] = [
      [
        ["status", await nobody()],
        1,
        /no recorder answers at http:\/\/127\.0\.0\.1:\d+ \(connection refused\); is it running.*--port/,
      ],
      [
        ["status", "no-such-host.invalid:9100"],
        1,
        /no recorder answers at http:\/\/no-such-host\.invalid:9100 \(/,
      ],
      [["healthcheck", silent, "--timeout", "300ms"], 1, /\(nothing within 300 ms\)/],
      [
        ["status", answering(() => new Response("nginx", { status: 404 }))],
        1,
        /\/live answered 404: that is no recorder/,
      ],
      [["status", answering(() => new Response("<html>"))], 1, /does not answer as this tapedeck expects/],
      [
        ["status", answering(() => Response.json({ ...sampleLive(), state: "FINE" }))],
        1,
        /\(state: .*use the tapedeck of/,
      ],
      [["status", answering(() => new Response("", { status: 503 }))], 1, /is starting; ask again/],
      [["status", "ftp://host:1"], 2, /"ftp:\/\/host:1": is no address; say http:\/\/host:9100/],
      [["status", "9161"], 2, /"9161": is no address/],
      [["status", "http://user:secret@host:9100"], 2, /is no address/],
      [["status", "a", "b"], 2, /status/],
      [["status", "--port", "0"], 2, /status\.port = 0: .* its log line status_api/],
      [["healthcheck", "--timeout", "soon"], 2, /--timeout soon: is no duration/],
    ];
    for (const [args, code, message] of cases) {
      const outcome = await run(args, { cwd });
      expect(outcome.stderr, args.join(" ")).toMatch(message);
      expect(outcome.stderr).not.toContain("    at ");
      expect([outcome.code, outcome.stdout], args.join(" ")).toEqual([code, ""]);
    }
  }, 180_000);

  test("--watch goes on while the recorder is away, and ends well by a signal", async () => {
    let away = false;
    const base = answering(() => (away ? new Response("", { status: 503 }) : Response.json(sampleLive())));
    const watching = tapedeck(["status", base, "--watch"], { cwd });
    await watching.text(/READY[\s\S]*READY/);
    expect(watching.stdout).not.toContain("\x1b");
    away = true;
    await watching.text(/OLD, as of the time below: the recorder at .* is starting/);
    const before = watching.stdout.length;
    away = false;
    await waitFor("it again", () => /\n\n✓ READY/.test(watching.stdout.slice(before)));
    watching.signal("SIGINT");
    expect(await watching.exit()).toBe(0);
  }, 180_000);

  test("on a terminal: colours unless NO_COLOR is set, --watch on a screen of its own, which is given back", async () => {
    const shown = async (args: string[], env: Record<string, string>, until: (text: string) => boolean) => {
      let text = "";
      const utf8 = new TextDecoder();
      const take = (part: string) => {
        text += part;
      };
      const main = new URL("../../src/main.ts", import.meta.url).pathname;
      const child = Bun.spawn([process.execPath, main, "status", recorder, ...args], {
        cwd,
        env: { PATH: process.env.PATH ?? "", TERM: "xterm-256color", ...env },
        terminal: {
          cols: 60,
          rows: 24,
          data: (_terminal, data) => take(utf8.decode(data, { stream: true })),
        },
      });
      await waitFor("what is shown on the terminal", () => until(text), { state: () => text });
      if (args.length > 0) child.kill("SIGINT");
      const code = await child.exited;
      if (args.length > 0) await waitFor("the end on the terminal", () => text.endsWith("\x1b[?1049l"));
      return { code, text };
    };
    const [plain, coloured, watched] = await Promise.all([
      shown([], { NO_COLOR: "1" }, (text) => text.includes("Recent warnings")),
      shown([], {}, (text) => text.includes("Recent warnings")),
      shown(["--watch"], {}, (text) => text.split("\x1b[J").length > 2),
    ]);
    expect([plain.code, coloured.code, watched.code]).toEqual([0, 0, 0]);
    expect(plain.text).not.toContain("\x1b[");
    expect(coloured.text).toContain("\x1b[32m");
    const widest = Math.max(...plain.text.split(/\r?\n/).map((line) => Bun.stringWidth(line)));
    expect(widest).toBeLessThanOrEqual(60);
    expect(watched.text).toStartWith("\x1b[?1049h\x1b[?25l");
    expect(watched.text).toEndWith("\x1b[?25h\x1b[?1049l");
    // No more lines than the terminal has: it would scroll.
    const [drawing = ""] = watched.text.split("\x1b[J");
    expect(drawing.split("\n").length).toBeLessThanOrEqual(24);
  }, 180_000);
});

describe.concurrent("tapedeck healthcheck", () => {
  test("0 when the recorder says that it is alive, 1 when not, and it asks the right probe", async () => {
    const asked: string[] = [];
    const base = answering((path) => {
      asked.push(path);
      return Response.json(
        { status: path === "/livez" ? "ok" : "failed" },
        { status: path === "/livez" ? 200 : 503 },
      );
    });
    const alive = await run(["healthcheck", base], { cwd });
    expect([alive.code, alive.stdout, alive.stderr]).toEqual([0, "ok\n", ""]);
    const ready = await run(["healthcheck", base, "--ready"], { cwd });
    expect([ready.code, ready.stdout]).toEqual([1, ""]);
    expect(ready.stderr).toContain('/readyz answered 503: {"status":"failed"}');
    expect(asked).toEqual(["/livez", "/readyz"]);
  }, 180_000);
});
