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

/** A server is not to be asked more often than that by somebody who only looks. */
const SHORTEST_INTERVAL_MS = 250;

/** The answers of several servers to one look are drawn together. */
const TOGETHER_MS = 50;

/** `top`: shows what running jobs use, live. */
export const topVerb: Verb = {
  name: "top",
  asksSeveral: true,

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
A server that goes away is marked, and comes back by itself.

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
        'top needs a terminal; "worker-client stats" prints the same once.',
        ExitStatus.usage,
      );
    }
    const labels = parsePairs(label, "--label");
    const end = new AbortController();
    const { signal } = end;
    const view = new View(terminal, { withContext: servers.areSeveral });
    const looks = new Looks();
    const watches = servers.chosen().map((server) =>
      new Watch(server, { labels, intervalMs: interval, signal, onLook: () => looks.add() })
    );
    const watching = Promise.all(watches.map((watch) => watch.run()));
    const releases: (() => void)[] = [];
    try {
      {
        // Before anybody has answered there is nothing to show, and Ctrl-C ends the client.
        using _note = noteWhenSlow(terminal, () => "waiting for the first answer...");
        await Promise.race([watching, untilOneAnswers(watches, looks)]);
      }
      releases.push(
        terminal.onInterrupt(() => end.abort()),
        terminal.onKey((key) => key === "q" && end.abort()),
        terminal.onResize(() => looks.add()),
      );
      signal.addEventListener("abort", () => looks.add());
      view.enter();
      while (!signal.aborted) {
        await show(view, watches, place);
        await Promise.race([watching, looks.next()]);
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

/** Says when something has been looked at since the last time. */
class Looks {
  #pending = Promise.withResolvers<void>();

  add(): void {
    this.#pending.resolve();
  }

  async next(): Promise<void> {
    await this.#pending.promise;
    this.#pending = Promise.withResolvers();
  }
}

/** @throws {ClientError} None answers at all; with several, each one's problem in a line. */
async function untilOneAnswers(watches: readonly Watch[], looks: Looks): Promise<void> {
  for (;;) {
    await looks.next();
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
