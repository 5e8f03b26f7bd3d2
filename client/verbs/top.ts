import { parseDurationMs } from "../../common/quantities.ts";
import { ClientError, messageOf } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import { labelOption, parsedOption, parsePairs } from "../options.ts";
import { formatRows } from "../table.ts";
import type { Terminal } from "../terminal.ts";
import { type Rated, ratesOf, sampleUsage } from "../usage.ts";
import type { Verb } from "../verb.ts";
import { USAGE_HEAD, usageCells } from "./stats.ts";

interface TopOptions {
  readonly label?: readonly string[];
  /** Milliseconds. */
  readonly interval?: number;
}

const DEFAULT_INTERVAL_MS = 2000;

/** A server is not to be asked more often than that by somebody who only looks. */
const SHORTEST_INTERVAL_MS = 250;

/** The first rates need two looks, and nobody wants to wait for them. */
const FIRST_INTERVAL_MS = 300;

/** How many of the last looks a history shows. */
const HISTORY_LENGTH = 16;

const BARS = "▁▂▃▄▅▆▇█";

/** Another screen than the one that scrolls, and no cursor on it (xterm's control sequences). */
const ENTER = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";
const HOME = "\x1b[H";
const CLEAR_LINE = "\x1b[K";
const CLEAR_BELOW = "\x1b[J";

/** `top`: shows what running jobs use, live. */
export const topVerb: Verb = {
  name: "top",

  define(command) {
    command.summary("show what running jobs use, live");
    command.description(
      "Shows what running jobs use, the busiest first, until q or Ctrl-C is pressed.",
    );
    command.addOption(labelOption());
    command.addOption(
      parsedOption("--interval <duration>", "time between two looks (default: 2s)", {
        parse: parseIntervalMs,
      }),
    );
    command.addHelpText(
      "after",
      `
Examples:
  worker-client top
  worker-client top --interval 500ms --label team=billing`,
    );
  },

  async run({ session, terminal }, command) {
    const { label, interval = DEFAULT_INTERVAL_MS } = command.opts<TopOptions>();
    if (terminal.columns === undefined) {
      throw new ClientError(
        'top needs a terminal; "worker-client stats" prints the same once.',
        ExitStatus.usage,
      );
    }
    const labels = parsePairs(label, "--label");
    const view = new View(terminal);
    const { promise: left, resolve: leave } = Promise.withResolvers<void>();
    const releases = [
      terminal.onInterrupt(leave),
      terminal.onKey((key) => key === "q" && leave()),
    ];
    let isLeft = false;
    left.then(() => isLeft = true);
    let before = await sampleUsage(session, labels);
    view.enter();
    try {
      for (let waitMs = FIRST_INTERVAL_MS; !isLeft; waitMs = interval) {
        await Promise.race([left, pauseMs(waitMs)]);
        if (isLeft) break;
        try {
          const after = await sampleUsage(session, labels);
          await view.show(ratesOf(before, after), session.server);
          before = after;
        } catch (error) {
          if (!(error instanceof ClientError)) throw error;
          // The server may come back, and whoever looks sees that it is away.
          await view.show([], `${session.server}: ${messageOf(error)}`);
        }
      }
    } finally {
      view.leave();
      for (const release of releases) release();
    }
    return ExitStatus.ok;
  },
};

/** What stands on the screen. */
class View {
  readonly #terminal: Terminal;
  readonly #histories = new Map<string, number[]>();

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  enter(): void {
    this.#write(ENTER);
  }

  leave(): void {
    this.#write(LEAVE);
  }

  /** @param title Stands at the right end of the first line. */
  async show(jobs: readonly Rated[], title: string): Promise<void> {
    const { columns = 80, rows = 24 } = this.#terminal;
    const sorted = jobs.toSorted((one, other) =>
      (other.rates.cpuPercent ?? 0) - (one.rates.cpuPercent ?? 0)
    );
    this.#remember(jobs);
    const [id = "", name = "", cpu = "", ...others] = USAGE_HEAD;
    const table = await formatRows([
      [id, name, cpu, "HISTORY", ...others],
      ...sorted.map((rated) => {
        const [id = "", name = "", cpu = "", ...others] = usageCells(rated);
        return [id, name, cpu, sparkline(this.#histories.get(rated.job.jobID) ?? []), ...others];
      }),
    ], columns);
    const time = new Date().toTimeString().slice(0, 8);
    const first = `${jobs.length} jobs running   ${time}   ${title}   (q quits)`;
    const lines = [first, "", ...table.trimEnd().split("\n")].slice(0, rows);
    const text = lines.map((line) => line.slice(0, columns) + CLEAR_LINE).join("\r\n");
    this.#write(HOME + text + CLEAR_BELOW);
  }

  #remember(jobs: readonly Rated[]): void {
    const ids = new Set(jobs.map(({ job }) => job.jobID));
    for (const id of this.#histories.keys()) if (!ids.has(id)) this.#histories.delete(id);
    for (const { job, rates } of jobs) {
      const history = [...this.#histories.get(job.jobID) ?? [], rates.cpuPercent ?? 0];
      this.#histories.set(job.jobID, history.slice(-HISTORY_LENGTH));
    }
  }

  #write(text: string): void {
    this.#terminal.write(new TextEncoder().encode(text));
  }
}

/** The last values as bars, the highest of them (or a whole core) as the tallest. */
export function sparkline(values: readonly number[]): string {
  const top = Math.max(100, ...values);
  return values
    .map((value) => BARS[Math.min(BARS.length - 1, Math.floor(value / top * BARS.length))] ?? "")
    .join("").padStart(HISTORY_LENGTH);
}

function parseIntervalMs(text: string): number {
  const intervalMs = parseDurationMs(text);
  if (intervalMs >= SHORTEST_INTERVAL_MS) return intervalMs;
  throw new RangeError(`Expected ${SHORTEST_INTERVAL_MS}ms or more.`);
}

function pauseMs(durationMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, durationMs));
}
