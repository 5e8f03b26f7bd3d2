/** One job: its facts, resource usage, output and actions. */
import { useCallback, useState } from "preact/hooks";
import { escapeUnprintable } from "../../../common/printable.ts";
import { describeCommand } from "../../screen/command.ts";
import { CopyButton } from "./copy_button.tsx";
import { factsOf, nameOf, noteOf, stateText, toneOf } from "./facts.ts";
import { JobActions } from "./job_actions.tsx";
import { Labels } from "./labels.tsx";
import { OutputView } from "./output_view.tsx";
import { Plots } from "./plots.tsx";
import { usePoll } from "./poll.ts";
import { type Job, requests } from "./requests.ts";
import { linkTo, NO_FILTER, type Route } from "./route.ts";
import { useTitle } from "./title.ts";
import type { UsageHistories } from "./usage_history.ts";

const REFRESH_MS = 1_000;

/** The address of a job. */
type JobRoute = Extract<Route, { view: "job" }>;

interface JobViewProps {
  readonly route: JobRoute;
  readonly setFind: (text: string) => void;
  readonly histories: UsageHistories;
  readonly server: string | undefined;
  /** Whether the user may change jobs. */
  readonly isWriter: boolean;
  /** The link back to the table. */
  readonly table: string;
}

/** A job, which is polled until it has ended. */
export function JobView({ route, setFind, histories, server, isWriter, table }: JobViewProps) {
  const { jobID } = route;
  const [hasEnded, setHasEnded] = useState(false);
  const ask = useCallback(async () => {
    const { job } = await histories.record(requests.job(jobID), (read) => [read]);
    setHasEnded(job.exited);
    return job;
  }, [jobID]);
  const { answer: job, error, again } = usePoll(ask, hasEnded ? 0 : REFRESH_MS);
  useTitle(job && `${nameOf(job)}: ${stateText(job)}`, server);
  if (job === undefined) {
    return (
      <main>
        {error
          ? <p class="trouble" role="alert">{error.message}</p>
          : <p class="empty">Loading…</p>}
        <p>
          <a href={table}>All jobs</a>
        </p>
      </main>
    );
  }
  const note = noteOf(job, Date.now());
  return (
    <main class="job">
      <div class="work">
        <header class="title">
          <a href={table} aria-label="All jobs">←</a>
          <h1>{nameOf(job)}</h1>
          <span class={`state ${toneOf(job)}`}>{stateText(job)}</span>
          {job.node && <span class="node">on {escapeUnprintable(job.node)}</span>}
          {note && <span class="note">{note}</span>}
          {isWriter && <JobActions job={job} table={table} onDone={again} />}
        </header>
        <p class="identity">
          <span class="code">{job.jobID}</span>
          <CopyButton text={job.jobID} what="the job's id" />
        </p>
        <div class="commandline">
          <p class="code">{describeCommand(job)}</p>
          <CopyButton text={describeCommand(job)} what="the command" />
        </div>
        {error && <p class="trouble" role="alert">{error.message}</p>}
        {job.separateStderr && <OutputChoice route={route} />}
        {streamsOf(job, route).map((stderr, index) => (
          <OutputView
            key={`${job.jobID} ${stderr}`}
            job={job}
            stderr={stderr}
            hasKeys={index === 0}
            find={route.find ?? ""}
            setFind={setFind}
          />
        ))}
      </div>
      <About job={job} histories={histories} />
    </main>
  );
}

/** Which outputs of a job are shown: for each, whether it is its standard error. */
function streamsOf({ separateStderr }: Job, { show }: JobRoute): readonly boolean[] {
  if (!separateStderr) return [false];
  return show === undefined ? [false, true] : [show === "stderr"];
}

/** Chooses among the outputs of a job that keeps its standard error apart. */
function OutputChoice({ route }: { readonly route: JobRoute }) {
  const { show: _, ...both } = route;
  const choices: readonly (readonly [string, JobRoute])[] = [
    ["Standard output", { ...both, show: "stdout" }],
    ["Standard error", { ...both, show: "stderr" }],
    ["Both", both],
  ];
  return (
    <nav class="outputs" aria-label="Which output">
      {choices.map(([label, choice]) => (
        <a
          key={label}
          class="button"
          href={linkTo(choice)}
          aria-current={choice.show === route.show ? "true" : undefined}
        >
          {label}
        </a>
      ))}
    </nav>
  );
}

/** What is known of a job besides its output. */
function About({ job, histories }: { readonly job: Job; readonly histories: UsageHistories }) {
  const samples = histories.samplesOf(job.jobID);
  return (
    <aside class="about" aria-label="About this job">
      <Labels labels={job.labels} filter={NO_FILTER} />
      {(!job.exited && job.startedAtMs > 0 || samples.length > 1) && <Plots samples={samples} />}
      <dl class="facts">
        {factsOf(job, Date.now()).map(([name, text]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{text}</dd>
          </div>
        ))}
      </dl>
    </aside>
  );
}
