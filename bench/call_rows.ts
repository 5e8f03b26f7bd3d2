import type { Row } from "./benchmark.ts";

/** The rows of a whole call, beside ssh's and beside an empty program; milliseconds. */
export function callRows(
  command: string,
  { ours, theirs, empty }: Readonly<Record<"ours" | "theirs" | "empty", readonly number[]>>,
): Row[] {
  return [
    {
      what: `\`${command}\`, whole process, new connection`,
      unit: "ms",
      ours,
      alternative: { name: "`ssh host true`", values: theirs },
      target: { text: "at most 0.4 of ssh", isMet: (mine, other) => mine <= 0.4 * other },
    },
    {
      what: "the same beside the runtime's floor",
      unit: "ms",
      ours,
      alternative: { name: "an empty program", values: empty },
      target: { text: "at most 1.7 of the floor", isMet: (mine, other) => mine <= 1.7 * other },
    },
  ];
}
