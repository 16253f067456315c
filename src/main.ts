#!/usr/bin/env bun
/** The command line: finds the command, checks everything at once, runs it, turns the outcome into an exit code. */
import packageJson from "../package.json" with { type: "json" };
import { type Command, Failure, UsageError } from "./commands/command.ts";
import { COMMANDS } from "./commands/index.ts";
import { camelCase, parseArguments } from "./config/arguments.ts";
import { commonFlagsOf } from "./config/flags.ts";
import { commandHelp, overview, settingsHelp } from "./config/help.ts";
import { defaultSettings, loadSettings } from "./config/load.ts";
import { shownText } from "./config/mask.ts";
import { type Redactor, redactorOf } from "./config/secrets.ts";
import { didYouMean } from "./config/suggest.ts";
import { NativeError, wishNativeFolders } from "./lib/native/load.ts";
import { FULL_VERSION } from "./recorder/version.ts";

/** Exit codes of every command. */
const EXIT = { done: 0, failed: 1, wrongUse: 2 } as const;

/** Runs one command line (without the program's own name) and resolves to the exit code. */
async function main(argv: readonly string[]): Promise<number> {
  const [first, ...rest] = argv[0] === "--" ? argv.slice(1) : argv;
  if (first === "--version" || first === "-v") return print(`tapedeck ${FULL_VERSION}`);
  if (first === undefined) {
    process.stderr.write(`${overviewText()}\n`);
    return EXIT.wrongUse;
  }
  if (first === "--help" || first === "-h" || first === "help") return help(rest);
  if (first.startsWith("-")) {
    throw new UsageError([`${shownText(first)}: a command comes first: tapedeck <command> [flags]`]);
  }
  return run(await commandNamed(first), rest);
}

/** Checks flags, options and settings together, so that one run shows every fault, then runs the command. */
async function run(command: Command, args: readonly string[]): Promise<number> {
  const parsed = parseArguments(command, args);
  if (parsed.help) return print(commandHelp(command));
  const options = command.options.safeParse(parsed.options);
  const loaded =
    commonFlagsOf(command).length === 0
      ? { ok: true as const, ...defaultSettings(), warnings: [] }
      : loadSettings({
          flags: parsed.settings,
          config: parsed.config,
          env: process.env,
          cwd: process.cwd(),
        });
  for (const warning of loaded.warnings) process.stderr.write(`tapedeck: warning: ${warning}\n`);
  const faults = [...parsed.faults];
  if (!options.success) {
    faults.push(...options.error.issues.map((issue) => optionFault(command, parsed.options, issue)));
  }
  if (!loaded.ok) faults.push(...loaded.faults);
  if (!options.success || !loaded.ok || faults.length > 0) throw new UsageError(faults);
  const { settings, sources } = loaded;
  wishNativeFolders(settings);
  try {
    return await command.run({ positionals: parsed.positionals, options: options.data, settings, sources });
  } catch (error) {
    throw withoutSecrets(error, redactorOf(settings));
  }
}

/** An error whose words may be shown: a server or a library may have put what it was given into them. */
function withoutSecrets(error: unknown, redact: Redactor): unknown {
  if (error instanceof UsageError) return new UsageError(error.faults.map(redact));
  if (error instanceof Failure) return new Failure(redact(error.message));
  if (error instanceof NativeError) return new NativeError(redact(error.message));
  return redact(error instanceof Error ? (error.stack ?? error.message) : String(error));
}

/** An issue of a command's own flag, named as the user wrote it. */
function optionFault(
  command: Command,
  options: Readonly<Record<string, string | true>>,
  issue: { readonly path: readonly PropertyKey[]; readonly message: string },
): string {
  const flag = command.flags.find(({ name }) => camelCase(name) === issue.path[0]);
  if (flag === undefined) return issue.message;
  const value = options[camelCase(flag.name)];
  if (value === undefined) return `--${flag.name}: is missing: ${issue.message}`;
  return `--${flag.name}${value === true ? "" : ` ${shownText(value)}`}: ${issue.message}`;
}

async function help([topic, ...more]: readonly string[]): Promise<number> {
  if (topic === undefined || topic.startsWith("-")) return print(overviewText());
  if (more.length > 0) throw new UsageError([`help ${topic}: one command at a time`]);
  if (topic === "settings") return print(settingsHelp());
  return print(commandHelp(await commandNamed(topic)));
}

async function commandNamed(name: string): Promise<Command> {
  // hasOwn: `tapedeck constructor` is no command.
  const entry = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (entry !== undefined) return entry.load();
  const guess = didYouMean(name, Object.keys(COMMANDS));
  throw new UsageError([`${shownText(name)}: unknown command${guess}`]);
}

function overviewText(): string {
  const commands = Object.entries(COMMANDS).map(([name, { summary }]) => [name, summary] as const);
  return overview(packageJson.description, commands);
}

function print(text: string): number {
  process.stdout.write(`${text}\n`);
  return EXIT.done;
}

/** What went wrong, for people, on stderr. */
function report(error: unknown, argv: readonly string[]): number {
  if (error instanceof UsageError) {
    const command = argv.find((arg) => Object.hasOwn(COMMANDS, arg));
    const lines = error.faults.map((fault) => `tapedeck: ${fault}\n`).join("");
    process.stderr.write(`${lines}See: tapedeck ${command === undefined ? "" : `${command} `}--help\n`);
    return EXIT.wrongUse;
  }
  if (error instanceof Failure || error instanceof NativeError) {
    process.stderr.write(`tapedeck: ${error.message}\n`);
  } else {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    process.stderr.write(`tapedeck: unexpected error: ${text}\n`);
  }
  return EXIT.failed;
}

/** Resolves when everything written has left the process: `process.exit` alone cuts off what a pipe has not taken. */
function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    stream.once("error", () => resolve());
    stream.end(() => resolve());
  });
}

if (import.meta.main) {
  // `tapedeck config | head`: the reader has what it wanted.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    // console.error writes at once; process.stderr would lose it in the exit.
    if (error.code !== "EPIPE") console.error(`tapedeck: cannot write to stdout: ${error.message}`);
    process.exit(error.code === "EPIPE" ? EXIT.done : EXIT.failed);
  });
  const argv = process.argv.slice(2);
  const code = await main(argv).catch((error: unknown) => report(error, argv));
  await Promise.all([flushed(process.stdout), flushed(process.stderr)]);
  process.exit(code);
}
