const NEWLINE = 0x0a;
const RETURN = 0x0d;

/** Longest line, bytes: several times the largest frame an exchange sends. */
export const LINE_MAX: number = 64 * 1024 * 1024;

/**
 * The lines of a stream as bytes, without their line ends; the last one need not have one. When reading
 * fails, so does this, and the line that was being read is left out.
 *
 * @throws RangeError when a line is longer than {@link LINE_MAX}.
 */
export async function* lines(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let pieces: Uint8Array[] = [];
  for await (const chunk of stream) {
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at !== -1; at = chunk.indexOf(NEWLINE, from)) {
      pieces.push(chunk.subarray(from, at));
      yield joined(pieces);
      pieces = [];
      from = at + 1;
    }
    if (from === chunk.length) continue;
    pieces.push(chunk.slice(from));
    if (pieces.reduce((bytes, piece) => bytes + piece.length, 0) > LINE_MAX) {
      throw new RangeError(`a line is longer than ${LINE_MAX} bytes: is this a file of frames, one a line?`);
    }
  }
  if (pieces.length > 0) yield joined(pieces);
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const only = pieces.length === 1 ? pieces[0] : undefined;
  const line = only ?? Buffer.concat(pieces);
  return line.at(-1) === RETURN ? line.subarray(0, -1) : line;
}
