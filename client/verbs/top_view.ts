import type { PlacedJob } from "../jobs/placed_job.ts";
import { stateOf } from "../jobs/state.ts";
import { oneLine } from "../errors.ts";
import { addContexts, fitLines, formatRows } from "../screen/table.ts";
import type { Terminal } from "../terminal.ts";
import { USAGE_EXPENDABLE, USAGE_HEAD, usageCells } from "../screen/usage_table.ts";
import { HISTORY_LENGTH, type WatchedJob } from "./top_watch.ts";

/** Eight heights of a bar. */
const BARS = "▁▂▃▄▅▆▇█";

/** The same in ASCII. */
const ASCII_BARS = "_.:-=+*#";

/** The alternate screen without a cursor (xterm's control sequences). */
const ENTER = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";
const HOME = "\x1b[H";
const CLEAR_LINE = "\x1b[K";
const CLEAR_BELOW = "\x1b[J";

/** A job as `top` shows it. */
export type TopJob = WatchedJob & PlacedJob;

/** The lines above the table. */
export interface Heading {
  /** Which server, or how many of them. */
  readonly place: string;
  /** Problems, one a line. */
  readonly problems: readonly string[];
}

/** The screen. */
export class View {
  readonly #terminal: Terminal;
  readonly #withContext: boolean;
  #isEntered = false;

  /** @param withContext Whether a column shows the context of each job. */
  constructor(terminal: Terminal, { withContext }: { withContext: boolean }) {
    this.#terminal = terminal;
    this.#withContext = withContext;
  }

  /** Whether it has taken over the terminal. */
  get isEntered(): boolean {
    return this.#isEntered;
  }

  enter(): void {
    this.#isEntered = true;
    this.#write(ENTER);
  }

  leave(): void {
    if (this.#isEntered) this.#write(LEAVE);
    this.#isEntered = false;
  }

  /** Draws all of it, the busiest job first. */
  async show(jobs: readonly TopJob[], { place, problems }: Heading): Promise<void> {
    const { columns = 80, rows = 24 } = this.#terminal;
    const { isUnicode } = this.#terminal;
    const surface = { columns, isUnicode };
    const sorted = jobs.toSorted((one, other) => busynessOf(other) - busynessOf(one));
    const [id = "", name = "", cpu = "", ...others] = USAGE_HEAD;
    const cells = [
      [id, name, cpu, "HISTORY", ...others],
      // Rows below the end of the screen are not formatted.
      ...sorted.slice(0, rows).map((rated) => {
        const [id = "", name = "", cpu = "", ...others] = usageCells(rated);
        return [id, name, cpu, sparkline(rated.history, { isUnicode }), ...others];
      }),
    ];
    const table = await formatRows(
      this.#withContext ? addContexts(cells, sorted) : cells,
      surface,
      { expendable: USAGE_EXPENDABLE },
    );
    const time = new Date().toTimeString().slice(0, 8);
    const count = countJobs(jobs);
    const lines = [
      `${count}   ${time}   ${place}   (q quits)`,
      ...problems.map(oneLine),
      "",
      ...table.trimEnd().split("\n"),
    ];
    const shown = await fitLines(lines.slice(0, rows), surface);
    // It may have been left while the table was made.
    if (!this.#isEntered) return;
    this.#write(HOME + shown.map((line) => line + CLEAR_LINE).join("\r\n") + CLEAR_BELOW);
  }

  #write(text: string): void {
    this.#terminal.write(new TextEncoder().encode(text));
  }
}

/** Per cent of a core; a pending job comes after all that run. */
function busynessOf({ job, rates }: TopJob): number {
  return stateOf(job) === "pending" ? -1 : rates.cpuPercent ?? 0;
}

/** `3 jobs running, 2 pending`. */
function countJobs(jobs: readonly TopJob[]): string {
  const pendingCount = jobs.filter(({ job }) => stateOf(job) === "pending").length;
  const count = jobs.length - pendingCount;
  const pending = pendingCount === 0 ? "" : `, ${pendingCount} pending`;
  return `${count} ${count === 1 ? "job" : "jobs"} running${pending}`;
}

/** The last values as bars; the highest value, or a whole core, has the tallest bar. */
export function sparkline(values: readonly number[], { isUnicode = true } = {}): string {
  const bars = isUnicode ? BARS : ASCII_BARS;
  const top = Math.max(100, ...values);
  return values
    .map((value) => bars[Math.min(bars.length - 1, Math.floor(value / top * bars.length))] ?? "")
    .join("").padStart(HISTORY_LENGTH);
}
