import { z } from "zod";
import type { Command } from "./command.ts";
export const command: Command = { name: "demo", summary: "x", flags: [], common: "all", options: z.strictObject({}), async run() { return 1; } };
