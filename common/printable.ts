/** Text of others, made safe to print. Pure. */

/**
 * Characters that a terminal may interpret instead of printing: control and format characters (which
 * can change the writing direction), and line separators.
 */
export const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

const ALL_UNPRINTABLE = new RegExp(UNPRINTABLE, "gu");

/** A text in which each unprintable character is an escape of JSON, such as `\u202e`. */
export function escapeUnprintable(text: string): string {
  return text.replace(ALL_UNPRINTABLE, (character) =>
    Array.from(
      { length: character.length },
      (_, index) => `\\u${character.charCodeAt(index).toString(16).padStart(4, "0")}`,
    ).join(""));
}

/** JSON in one line in which every character is printable; it means the same. */
export function printableJson(value: unknown): string {
  return escapeUnprintable(JSON.stringify(value));
}
