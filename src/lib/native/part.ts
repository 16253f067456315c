/** One native part of a single executable: checked where it lies, written there if it does not or is not what it was. */
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import type { EmbeddedPart } from "./embedded.ts";
import { refuseOthers } from "./folders.ts";

/** Read only, for its owner: nobody has a reason to change it. */
const MODE = 0o500;
/** Pieces in which it is hashed and written, bytes. */
const PIECE = 1 << 20;
/** Temporary files older than this were left by a start that was killed, ms. */
const LEFTOVER_AGE = 3_600_000;

/** Files whose content was found right, each by {@link identity}. */
export type Checked = Set<string>;

/** Changes with whatever changes a file: the system sets the time of change itself. */
function identity(path: string, { dev, ino, size, mtimeMs, ctimeMs }: Stats): string {
  return [path, dev, ino, size, mtimeMs, ctimeMs].join("|");
}

/**
 * Sees to it that the part lies in `folder`, whole and unchanged.
 *
 * Safe against starts at the same time: each writes a file of its own and renames it over the name, which is atomic; who has
 * loaded the one before keeps it.
 *
 * @param checked files that need not be read again; this one is added
 * @throws Error that says why it cannot be there
 */
export function placePart(folder: string, part: EmbeddedPart, checked: Checked = new Set()): string {
  const path = join(folder, part.name);
  if (isWhole(path, part, checked)) return path;
  clearLeftovers(folder);
  writePart(folder, path, part);
  return path;
}

/** Whether the file is there and has the content it was built with. */
function isWhole(path: string, { bytes, sha256 }: EmbeddedPart, checked: Checked): boolean {
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch {
    // Missing, a symbolic link or not readable: written anew.
    return false;
  }
  try {
    const stats = fstatSync(file);
    refuseOthers(path, stats);
    if (!stats.isFile() || stats.size !== bytes) return false;
    const found = identity(path, stats);
    if (checked.has(found)) return true;
    const hasher = new Bun.CryptoHasher("sha256");
    const piece = Buffer.allocUnsafe(PIECE);
    for (let read = readSync(file, piece); read > 0; read = readSync(file, piece)) {
      hasher.update(piece.subarray(0, read));
    }
    const isRight = hasher.digest("hex") === sha256;
    if (isRight) checked.add(found);
    return isRight;
  } finally {
    closeSync(file);
  }
}

function writePart(folder: string, path: string, part: EmbeddedPart): void {
  const content = readFileSync(part.path);
  if (new Bun.CryptoHasher("sha256").update(content).digest("hex") !== part.sha256) {
    throw new Error(`${part.name} inside this executable is damaged: get the executable again`);
  }
  const temporary = join(folder, `.${part.name}.${process.pid}.${crypto.randomUUID()}.tmp`);
  try {
    const file = openSync(temporary, "wx", 0o600);
    try {
      for (let at = 0; at < content.length; ) {
        at += writeSync(file, content, at, Math.min(PIECE, content.length - at));
      }
      fchmodSync(file, MODE);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  syncFolder(folder);
}

/** The rename itself has to survive a loss of power. */
function syncFolder(folder: string): void {
  const file = openSync(folder, "r");
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** What killed starts have left; those of starts that are under way are younger. */
function clearLeftovers(folder: string): void {
  for (const name of readdirSync(folder)) {
    if (!name.startsWith(".") || !name.endsWith(".tmp")) continue;
    const path = join(folder, name);
    const age = Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    if (age > LEFTOVER_AGE) rmSync(path, { force: true });
  }
}
