/** A real browser without a screen: Debian's Chromium, driven by playwright-core. */
import { afterAll } from "bun:test";
import { existsSync } from "node:fs";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { DEADLINE } from "./wait.ts";

const CHROMIUM = process.env.TAPEDECK_TEST_CHROMIUM ?? "/usr/bin/chromium";
/** A browser that runs until the tests of the calling file are over, or why there is none, to be shown as a skip. */
export async function startChromium(): Promise<{ browser: Browser } | { missing: string }> {
  if (!existsSync(CHROMIUM)) return { missing: `no ${CHROMIUM} (apt-get install chromium)` };
  try {
    const browser = await chromium.launch({
      executablePath: CHROMIUM,
      // Containers have neither the sandbox's rights nor a large /dev/shm.
      args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
      timeout: DEADLINE,
    });
    afterAll(() => browser.close());
    return { browser };
  } catch (error) {
    const [reason = ""] = String(error).split("\n");
    return { missing: `${CHROMIUM} cannot be started: ${reason}` };
  }
}

/** A page, and everything that a console would show of it. */
export interface Opened {
  readonly page: Page;
  readonly complaints: string[];
}

/** Opens an address in a context of its own. */
export async function open(
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
): Promise<Opened> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  // Its own 30 s are too short for a browser that gets no processor.
  context.setDefaultTimeout(DEADLINE);
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type()))
      complaints.push(`${message.type()}: ${message.text()} ${message.location().url}`.trimEnd());
  });
  page.on("pageerror", (error) => complaints.push(`uncaught: ${error.message}`));
  page.on("requestfailed", (request) => complaints.push(`failed: ${request.url()}`));
  await page.goto(url, { waitUntil: "domcontentloaded" });
  return { page, complaints };
}
