/** A command line as words: the form's rule, which is a part of the shell's. Pure. */

/** A command line that has no end. */
export class QuoteError extends Error {
  override name = "QuoteError";
}

/**
 * Splits a command line: blanks and line ends separate words; `'…'` is taken as it is; in `"…"` a
 * backslash takes the meaning of `"` and `\`; outside of quotes it takes the meaning of whatever
 * follows. Nothing else has a meaning: `$`, `*`, `|`, `>` and `#` reach the program.
 *
 * @throws {QuoteError} A quote is not closed, or nothing follows a backslash.
 */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let index = 0;
  while (index < text.length) {
    const character = text.charAt(index);
    if (/\s/.test(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
      index += 1;
    } else if (character === "'" || character === '"') {
      const quoted = readQuoted(text, index);
      word = (word ?? "") + quoted.text;
      index = quoted.end;
    } else {
      const isEscape = character === "\\";
      if (isEscape && index + 1 >= text.length) {
        throw new QuoteError("Nothing follows the last backslash.");
      }
      word = (word ?? "") + text.charAt(isEscape ? index + 1 : index);
      index += isEscape ? 2 : 1;
    }
  }
  if (word !== undefined) words.push(word);
  return words;
}

function readQuoted(text: string, begin: number): { text: string; end: number } {
  const quote = text.charAt(begin);
  let inside = "";
  for (let index = begin + 1; index < text.length; index += 1) {
    const character = text.charAt(index);
    if (character === quote) return { text: inside, end: index + 1 };
    const next = text.charAt(index + 1);
    const isEscape = quote === '"' && character === "\\" && (next === '"' || next === "\\");
    inside += isEscape ? next : character;
    if (isEscape) index += 1;
  }
  throw new QuoteError(`A ${quote} is not closed.`);
}

/** A program and its arguments, each on a line of its own, taken as they are. */
export function splitLines(text: string): string[] {
  const lines = text.split(/\r?\n/);
  // The last line's end makes no further, empty argument.
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

/** What a shell would do with these words and nobody does here; undefined: nothing. */
export function shellHint(words: readonly string[]): string | undefined {
  // A script for a shell is one word, with all of these inside of it.
  return words.some((word) => /^([|&;<>]+|\d?>+.*|\$\w+|\*)$/.test(word))
    ? "No shell is between: |, >, &&, $ and * reach the program as they are. For a shell: sh -c '…'"
    : undefined;
}
