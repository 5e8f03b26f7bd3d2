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

/** The benchmarks whose first row, and rows that say so, the README shows. */
const SUMMARY = ["query", "start", "stream", "follow", "starts", "stop"];

/** The README's part of the table, in Markdown: what a user waits for, beside the alternative. */
export function toSummary(results: readonly Result[]): string {
  const rows = SUMMARY.flatMap((name) =>
    results.filter(({ benchmark }) => benchmark === name)
      .filter(({ isInSummary }, index) => index === 0 || isInSummary)
  );
  return markdownTable([
    ["What", "Ours", "Instead", "", "Ratio"],
    ...rows.map((result) => [
      result.what,
      medianText(result),
      result.alternative?.name ?? "",
      alternativeText(result),
      ratioText(result),
    ]),
  ], { align: ["l", "r", "l", "r", "r"] });
}

/** The table, in Markdown. */
export function toTable(results: readonly Result[]): string {
  const head = ["What", "Ours", "Spread", "Instead", "", "Spread", "Ratio", "To reach", "Reached"];
  return markdownTable([
    head,
    ...results.map((result) => [
      result.what,
      medianText(result),
      spread(result.ours),
      result.alternative?.name ?? "",
      alternativeText(result),
      spread(result.alternative?.values ?? []),
      ratioText(result),
      result.target ?? "",
      result.isMet === undefined ? "" : result.isMet ? "yes" : "no",
    ]),
  ], { align: ["l", "r", "r", "l", "r", "r", "r", "l", "l"] });
}

function medianText({ median, unit }: Result): string {
  return `${round(median)} ${unit}`;
}

function alternativeText({ alternativeMedian, unit }: Result): string {
  return alternativeMedian === undefined ? "" : `${round(alternativeMedian)} ${unit}`;
}

function ratioText({ ratio }: Result): string {
  return ratio === undefined ? "" : ratio.toFixed(2);
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
