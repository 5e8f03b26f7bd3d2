import { parseDurationMs } from "../../common/quantities.ts";
import { ClientError } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import { labelOption, parsedOption, parsePairs } from "../command_line/options.ts";
import { pause } from "../connection/abort.ts";
import { noteWhenSlow } from "../screen/slow_note.ts";
import { type Heading, type TopJob, View } from "./top_view.ts";
import type { Verb } from "../command_line/verb.ts";
import { Watch } from "./top_watch.ts";

interface TopOptions {
  readonly label?: readonly string[];
  /** Milliseconds. */
  readonly interval?: number;
}

const DEFAULT_INTERVAL_MS = 2000;

/** More frequent queries would load the server too much for a mere display. */
const SHORTEST_INTERVAL_MS = 250;

/** Answers of several servers that arrive within this time are drawn together. */
const TOGETHER_MS = 50;

/** `top`: shows the resource usage of running jobs, live. */
export const topVerb: Verb = {
  name: "top",
  asksSeveral: true,

  define(command) {
    command.summary("show the resource usage of running jobs, live");
    command.description(
      "Shows the resource usage of running jobs, the busiest first, until q or Ctrl-C is pressed.",
    );
    command.addOption(labelOption());
    command.addOption(
      parsedOption("--interval <duration>", "time between two updates (default: 2s)", {
        parse: parseIntervalMs,
      }),
    );
    command.addHelpText(
      "after",
      `
A server that cannot be reached is marked and tried again.

Examples:
  worker-client top
  worker-client top --interval 500ms --label team=billing
  worker-client top --all-contexts`,
    );
  },

  async run({ servers, terminal }, command) {
    const { label, interval = DEFAULT_INTERVAL_MS } = command.opts<TopOptions>();
    const place = servers.areSeveral ? undefined : (await servers.one()).server;
    if (terminal.columns === undefined) {
      throw new ClientError(
        '"top" needs a terminal. "worker-client stats" prints the same once.',
        ExitStatus.usage,
      );
    }
    const labels = parsePairs(label, "--label");
    const end = new AbortController();
    const { signal } = end;
    const view = new View(terminal, { withContext: servers.areSeveral });
    const samples = new Samples();
    const watches = servers.chosen().map((server) =>
      new Watch(server, { labels, intervalMs: interval, signal, onSample: () => samples.add() })
    );
    const watching = Promise.all(watches.map((watch) => watch.run()));
    const releases: (() => void)[] = [];
    try {
      {
        // Before the first answer there is nothing to show, and Ctrl-C ends the client.
        using _note = noteWhenSlow(terminal, () => "waiting for the first answer...");
        await Promise.race([watching, untilOneAnswers(watches, samples)]);
      }
      releases.push(
        terminal.onInterrupt(() => end.abort()),
        terminal.onKey((key) => key === "q" && end.abort()),
        terminal.onResize(() => samples.add()),
      );
      signal.addEventListener("abort", () => samples.add());
      view.enter();
      while (!signal.aborted) {
        await show(view, watches, place);
        await Promise.race([watching, samples.next()]);
        if (!signal.aborted) await pause(TOGETHER_MS);
      }
    } finally {
      end.abort();
      for (const release of releases) release();
      view.leave();
    }
    return ExitStatus.ok;
  },
};

/** Wakes the drawing after a new sample. */
class Samples {
  #pending = Promise.withResolvers<void>();

  add(): void {
    this.#pending.resolve();
  }

  async next(): Promise<void> {
    await this.#pending.promise;
    this.#pending = Promise.withResolvers();
  }
}

/** @throws {ClientError} No server answers; the message has the problem of each. */
async function untilOneAnswers(watches: readonly Watch[], samples: Samples): Promise<void> {
  for (;;) {
    await samples.next();
    if (watches.some(({ hasAnswered }) => hasAnswered)) return;
    const problems = watches.flatMap(({ problem }) => problem ?? []);
    const [first] = problems;
    if (first === undefined || problems.length < watches.length) continue;
    if (watches.length === 1) throw first;
    throw new ClientError(
      `No server answers. ${watches.flatMap(describeProblem).join("; ")}`,
      first.exitStatus,
    );
  }
}

async function show(
  view: View,
  watches: readonly Watch[],
  place: string | undefined,
): Promise<void> {
  const jobs: TopJob[] = watches.flatMap(({ context, jobs }) =>
    jobs.map((rated) => ({ ...rated, context }))
  );
  const answering = watches.filter(({ hasAnswered, problem }) => hasAnswered && !problem).length;
  const heading: Heading = {
    place: place ?? `${answering} of ${watches.length} servers`,
    problems: watches.flatMap(describeProblem),
  };
  await view.show(jobs, heading);
}

function describeProblem({ context, problem }: Watch): string[] {
  if (problem === undefined) return [];
  return [`${context === undefined ? "" : `${context}: `}${problem.message}`];
}

function parseIntervalMs(text: string): number {
  const intervalMs = parseDurationMs(text);
  if (intervalMs >= SHORTEST_INTERVAL_MS) return intervalMs;
  throw new RangeError(`Expected ${SHORTEST_INTERVAL_MS}ms or more.`);
}
