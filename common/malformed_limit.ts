/** The error for a text that is not a valid limit. */
export function malformed(text: string, expected: string): RangeError {
  const shown = JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
  return new RangeError(`${shown} is not a valid limit: expected ${expected}`);
}
