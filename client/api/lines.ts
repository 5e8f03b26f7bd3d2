import { Gap } from "./gap.ts";

/** A longer line is split, so that an endless one does not fill the memory. */
const MAX_LINE_CHARACTERS = 1024 * 1024;

/**
 * Splits output into lines without their ends (LF or CR LF); the last line may have no end.
 *
 * Invalid UTF-8 becomes U+FFFD. A gap splits the line that it falls into. A line of more than
 * 1,048,576 characters is split.
 *
 * @param chunks Bytes and gaps, for instance the stream of a job.
 */
export async function* toLines(
  chunks: AsyncIterable<Uint8Array | Gap>,
): AsyncGenerator<string | Gap, void, void> {
  let decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of chunks) {
    if (chunk instanceof Gap) {
      rest += decoder.decode();
      decoder = new TextDecoder();
      if (rest !== "") yield withoutReturn(rest);
      rest = "";
      yield chunk;
      continue;
    }
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) yield withoutReturn(line);
    while (rest.length > MAX_LINE_CHARACTERS) {
      yield rest.slice(0, MAX_LINE_CHARACTERS);
      rest = rest.slice(MAX_LINE_CHARACTERS);
    }
  }
  rest += decoder.decode();
  if (rest !== "") yield withoutReturn(rest);
}

function withoutReturn(line: string): string {
  return line.endsWith("\r") ? line.slice(0, -1) : line;
}
