import { release } from "node:os";

const [MAJOR = 0, MINOR = 0] = release().split(".").map(Number);

/** Whether threads of this system can have a time slice of their own: Linux from 6.12 on. */
export const SLICES: boolean = process.platform === "linux" && (MAJOR > 6 || (MAJOR === 6 && MINOR >= 12));
