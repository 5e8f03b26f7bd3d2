import { Gap } from "./gap.ts";

/** A line that never ends must not fill the memory: it comes in pieces of so many characters. */
const MAX_LINE_CHARACTERS = 1024 * 1024;

/**
 * Puts lines together: without their ends (LF or CR LF), the last one also where it has none.
 *
 * Bytes that are no UTF-8 become U+FFFD. The line before a gap and the one behind it are what is
 * left of them. A line of more than 1,048,576 characters comes in pieces.
 *
 * @param chunks Bytes and gaps as they come, for instance a stream of a job.
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
