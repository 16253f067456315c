/** `tapedeck status`: what a running recorder says of itself, as a table. */
import { z } from "zod";
import { type Live, liveSchema } from "../status/live.ts";
import { RateHistory } from "../status/page/history.ts";
import { type Command, Failure } from "./command.ts";
import { ask, recorderAddress } from "./recorder-address.ts";
import { CHART_SECONDS, statusScreen } from "./status-screen.ts";

/** Longest wait for an answer, ms. */
const TIMEOUT = 5000;
/** Between two looks with `--watch`, ms. */
const INTERVAL = 1000;
/** What a point of the small charts is the mean of, s. */
const RATE_SECONDS = 3;

const options = z.strictObject({ watch: z.literal(true).optional(), json: z.literal(true).optional() });

/** `tapedeck status` */
export const command: Command<z.output<typeof options>> = {
  name: "status",
  summary: "Shows what a running recorder is doing.",
  description:
    "Asks the status API of the recorder on this machine, or at ADDRESS (http://host:9100, host:9100). Colours only on a " +
    "terminal, and never with NO_COLOR. Exit code 1 when nobody answers, whatever the state is otherwise.",
  positionals: { name: "ADDRESS", min: 0, max: 1 },
  flags: [
    { name: "watch", meaning: "Again every second, until Ctrl-C; goes on while the recorder is away." },
    { name: "json", meaning: "As JSON, one object; with --watch one a line." },
  ],
  common: ["host", "port"],
  options,
  async run({ positionals, options: { watch = false, json = false }, settings }) {
    const base = recorderAddress(positionals[0], settings.status);
    if (watch) return watchLive(base, json);
    const live = await readLive(base);
    process.stdout.write(`${json ? JSON.stringify(live, null, 2) : statusScreen(live, look(null))}\n`);
    return 0;
  },
};

/**
 * The picture of a recorder.
 *
 * @throws Failure when nobody answers, or not as a recorder does
 */
async function readLive(base: string): Promise<Live> {
  const { status, text } = await ask(base, "/live", TIMEOUT);
  if (status === 503) throw new Failure(`the recorder at ${base} is starting; ask again in a moment`);
  if (status !== 200) {
    throw new Failure(
      `${base}/live answered ${status}: that is no recorder's status API; is the address right?`,
    );
  }
  const json = z.string().transform(parsed).safeParse(text);
  const live = liveSchema.safeParse(json.data);
  if (live.success) return live.data;
  const [issue] = live.error.issues;
  throw new Failure(
    `${base}/live does not answer as this tapedeck expects (${issue?.path.join(".") || "the answer"}: ${issue?.message}); ` +
      "use the tapedeck of the recorder's version",
  );
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** How the screen has to look where it is shown now. */
function look(history: RateHistory | null) {
  const { stdout, env } = process;
  const colour = stdout.isTTY && (env.NO_COLOR ?? "") === "" && env.TERM !== "dumb";
  return { width: stdout.isTTY ? stdout.columns : null, colour, history };
}

/** Shows it every second until a signal; resolves to the exit code. */
async function watchLive(base: string, json: boolean): Promise<number> {
  const end = Promise.withResolvers<void>();
  let ended = false;
  const stop = () => {
    ended = true;
    end.resolve();
  };
  const history = new RateHistory(CHART_SECONDS, RATE_SECONDS);
  // Before the screen is taken: an address where nobody is should not be watched.
  let live = await readLive(base);
  let failure: string | null = null;
  const screen = !json && process.stdout.isTTY;
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  // The other screen, without a cursor: what was there before comes back at the end.
  if (screen) process.stdout.write("\x1b[?1049h\x1b[?25l");
  try {
    for (;;) {
      if (failure === null) history.add(live);
      if (json) {
        if (failure === null) process.stdout.write(`${JSON.stringify(live)}\n`);
        else process.stderr.write(`tapedeck: ${failure}\n`);
      } else draw(live, failure, history, screen);
      await Promise.race([end.promise, Bun.sleep(INTERVAL)]);
      if (ended) return 0;
      try {
        live = await readLive(base);
        failure = null;
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        failure = error.message;
      }
    }
  } finally {
    if (screen) process.stdout.write("\x1b[?25h\x1b[?1049l");
    process.off("SIGINT", stop);
    process.off("SIGTERM", stop);
  }
}

function draw(live: Live, failure: string | null, history: RateHistory, screen: boolean): void {
  const options = look(history);
  const old = failure === null ? [] : [`OLD, as of the time below: ${failure}`, ""];
  const lines = [...old, ...statusScreen(live, options).split("\n")];
  if (!screen) {
    process.stdout.write(`${lines.join("\n")}\n\n`);
    return;
  }
  // What does not fit would scroll, and the next drawing would begin in the wrong place.
  const fitting = lines.slice(0, Math.max(1, process.stdout.rows - 1));
  process.stdout.write(`\x1b[H${fitting.map((line) => `${line}\x1b[K`).join("\n")}\x1b[J`);
}
