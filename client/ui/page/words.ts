/** Splits a command line into words, by a subset of the shell's rules. Pure. */

/** A command line with an open quote, or with a backslash at its end. */
export class QuoteError extends Error {
  override name = "QuoteError";
}

/**
 * Splits a command line: blanks and line ends separate words; `'…'` is literal; a backslash escapes `"`
 * and `\` inside of `"…"`, and every character outside of quotes. Nothing else is special: `$`, `*`,
 * `|`, `>` and `#` are passed to the program.
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
        throw new QuoteError("There is no character after the last backslash.");
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

/** The command line that {@linkcode splitWords} splits into these words. */
export function joinWords(words: readonly string[]): string {
  return words.map((word) =>
    /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
  ).join(" ");
}

/** A program and its arguments, each on its own line, literally. */
export function splitLines(text: string): string[] {
  const lines = text.split(/\r?\n/);
  // A line end at the end does not start another, empty argument.
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

/** A hint where words look like shell syntax, which is not interpreted; undefined: they do not. */
export function shellHint(words: readonly string[]): string | undefined {
  // A script for a shell is one word, which may contain all of these.
  return words.some((word) => /^([|&;<>]+|\d?>+.*|\$\w+|\*)$/.test(word))
    ? "|, >, &&, $ and * are passed to the program, as there is no shell. For a shell: sh -c '…'"
    : undefined;
}
