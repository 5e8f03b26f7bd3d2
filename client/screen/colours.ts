/** Colours of terminals (ECMA-48, "Select Graphic Rendition"): the eight that every theme has. Pure. */

const CODES = { red: 31, green: 32, yellow: 33, blue: 34, magenta: 35, cyan: 36 } as const;

/** One of the colours that are used. */
export type Colour = keyof typeof CODES;

/** What tells jobs apart whose output is written together; red is for failures. */
export const JOB_COLOURS: readonly Colour[] = ["cyan", "yellow", "green", "magenta", "blue"];

/** A text in a colour; it must not hold colours of its own. */
export function paint(text: string, colour: Colour | undefined): string {
  return colour === undefined || text === "" ? text : `\x1b[${CODES[colour]}m${text}\x1b[39m`;
}
