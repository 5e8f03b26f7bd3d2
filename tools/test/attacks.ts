/**
 * Attacks: the tests of files that say what they attack, in a line `// Attacks: WHAT.`. They run with
 * the others; what they come to is also told by itself.
 */

/** How an attack came out. */
export interface Attack {
  /** What was attacked. */
  readonly attacked: string;
  /** The test's name, which says how. */
  readonly name: string;
  readonly end: "held" | "broken" | "skipped";
}

const MARK = /^\/\/ Attacks: (.+)\.$/m;

/** Only of tests: steps are indented, and belong to one. */
const ENDED = /^(\S.*) \.\.\. (ok|FAILED|ignored)\b/gm;

const ENDS = { ok: "held", FAILED: "broken", ignored: "skipped" } as const;

/** What callers who do no harm noticed, as floods tell it. */
const HONEST = /^.*\bhonest\b.*$/gm;

/** What a file of tests attacks; undefined where its tests are no attacks. */
export function attackedBy(source: string): string | undefined {
  return MARK.exec(source)?.[1];
}

/**
 * Reads the attacks in what `deno test` printed of a file.
 *
 * A run that failed without a failed test (a crash, a time-out) is a broken attack of that file.
 */
export function readAttacks(
  { file, attacked }: { file: string; attacked: string },
  { output, succeeded }: { output: string; succeeded: boolean },
): Attack[] {
  const attacks = [...output.matchAll(ENDED)].map(([, name = "", end]) => ({
    attacked,
    name,
    end: ENDS[end as keyof typeof ENDS],
  }));
  const isExplained = succeeded || attacks.some(({ end }) => end === "broken");
  return isExplained ? attacks : [...attacks, { attacked, name: file, end: "broken" }];
}

/** The lines on what honest callers noticed meanwhile. */
export function readHonest(output: string): string[] {
  return [...output.matchAll(HONEST)].map(([line]) => line.trim());
}

/** All attacks of a run, for a summary. */
export class Attacks {
  readonly #attacks: Attack[] = [];
  readonly #honest: string[] = [];

  /** Adds what a file's tests printed. */
  add(
    file: { file: string; attacked: string },
    run: { output: string; succeeded: boolean },
  ): void {
    this.#attacks.push(...readAttacks(file, run));
    this.#honest.push(...readHonest(run.output));
  }

  /**
   * What it came to, in lines: each attack, or, in short, each thing that was attacked; then what
   * honest callers noticed, and the counts. Broken attacks are always named.
   */
  summary({ isShort }: { isShort: boolean }): string[] {
    const things = [...new Set(this.#attacks.map(({ attacked }) => attacked))];
    const lines = isShort
      ? [
        ...things.map((thing) =>
          `${thing}: ${countsOf(this.#attacks.filter(({ attacked }) => attacked === thing))}`
        ),
        ...this.#attacks.filter(({ end }) => end === "broken").map(lineOf),
      ]
      : things.flatMap((thing) =>
        this.#attacks.filter(({ attacked }) => attacked === thing).map(lineOf)
      );
    return [...lines, ...this.#honest, `attacks: ${countsOf(this.#attacks)}`];
  }
}

function lineOf({ attacked, name, end }: Attack): string {
  return `${end}: ${attacked}: ${name}`;
}

function countsOf(attacks: readonly Attack[]): string {
  const count = (end: Attack["end"]) => attacks.filter((attack) => attack.end === end).length;
  const skipped = count("skipped");
  return `${attacks.length - skipped} tried, ${count("held")} held, ${count("broken")} broken` +
    (skipped === 0 ? "" : `, ${skipped} skipped`);
}
