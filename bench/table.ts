/** The results: as a table to read, and as JSON. Pure but for the look at the machine. */
import { markdownTable } from "markdown-table";
import { max, median, min } from "simple-statistics";
import type { Row } from "./benchmark.ts";

/** One row, with its medians. */
export interface Result extends Omit<Row, "target"> {
  readonly benchmark: string;
  readonly median: number;
  readonly alternativeMedian: number | undefined;
  /** Ours by the alternative's. */
  readonly ratio: number | undefined;
  readonly target: string | undefined;
  readonly isMet: boolean | undefined;
}

/** Works out a row. */
export function toResult(benchmark: string, { target, ...row }: Row): Result {
  const ours = median([...row.ours]);
  const theirs = row.alternative && median([...row.alternative.values]);
  return {
    ...row,
    benchmark,
    median: ours,
    alternativeMedian: theirs,
    ratio: theirs === undefined ? undefined : ours / theirs,
    target: target?.text,
    isMet: target?.isMet(ours, theirs ?? NaN),
  };
}

/** The table, in Markdown. */
export function toTable(results: readonly Result[]): string {
  const head = ["What", "Ours", "Spread", "Instead", "", "Spread", "Ratio", "To reach", "Reached"];
  return markdownTable([
    head,
    ...results.map((result) => [
      result.what,
      `${round(result.median)} ${result.unit}`,
      spread(result.ours),
      result.alternative?.name ?? "",
      result.alternativeMedian === undefined
        ? ""
        : `${round(result.alternativeMedian)} ${result.unit}`,
      spread(result.alternative?.values ?? []),
      result.ratio === undefined ? "" : result.ratio.toFixed(2),
      result.target ?? "",
      result.isMet === undefined ? "" : result.isMet ? "yes" : "no",
    ]),
  ], { align: ["l", "r", "r", "l", "r", "r", "r", "l", "l"] });
}

/** The lowest and the highest value. */
function spread(values: readonly number[]): string {
  if (values.length < 2) return "";
  return `${round(min([...values]))} to ${round(max([...values]))}`;
}

/** Three digits say enough. */
function round(value: number): string {
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.max(Math.abs(value), 0.01))));
  return value.toFixed(digits);
}
