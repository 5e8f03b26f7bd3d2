/** Commands as a shell reads them. Pure. */
import { UNPRINTABLE } from "../../common/printable.ts";
import type { QueryResponse__Output } from "../../proto/contract.ts";

/** The command of a job, quoted for a shell. */
export function describeCommand(
  { name, args }: Pick<QueryResponse__Output, "name" | "args">,
): string {
  return [name, ...args].map(quoteWord).join(" ");
}

/** A word quoted for a shell; unprintable characters become escapes. */
function quoteWord(word: string): string {
  if (/^[\w@%+=:,./-]+$/.test(word)) return word;
  if (UNPRINTABLE.test(word)) return `$${singleQuoteEscaped(word)}`;
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/** A word in single quotes, for bash's `$'…'`. */
function singleQuoteEscaped(word: string): string {
  const inside = word
    .replaceAll("\\", "\\\\")
    .replaceAll("'", "\\'")
    .replace(
      new RegExp(UNPRINTABLE, "gu"),
      (character) => {
        const short = { "\n": "\\n", "\t": "\\t", "\r": "\\r" }[character];
        if (short !== undefined) return short;
        const code = (character.codePointAt(0) ?? 0).toString(16);
        return code.length > 4 ? `\\U${code.padStart(8, "0")}` : `\\u${code.padStart(4, "0")}`;
      },
    );
  return `'${inside}'`;
}
