/** One job: its facts, resource usage, output and actions. */
import { useCallback, useState } from "preact/hooks";
import { describeCommand } from "../../screen/command.ts";
import { shortState } from "../../screen/format.ts";
import { exitText, factsOf, toneOf } from "./facts.ts";
import { JobActions } from "./job_actions.tsx";
import { OutputView } from "./output_view.tsx";
import { Plots } from "./plots.tsx";
import { usePoll } from "./poll.ts";
import { requests } from "./requests.ts";
import { linkTo } from "./route.ts";
import type { UsageHistories } from "./usage_history.ts";

const REFRESH_MS = 1_000;

interface JobViewProps {
  readonly jobID: string;
  readonly histories: UsageHistories;
}

/** A job, which is polled until it has ended. */
export function JobView({ jobID, histories }: JobViewProps) {
  const [hasEnded, setHasEnded] = useState(false);
  const ask = useCallback(async () => {
    const { job } = await histories.record(requests.job(jobID), (read) => [read]);
    setHasEnded(job.exited);
    return job;
  }, [jobID]);
  const { answer: job, error, again } = usePoll(ask, hasEnded ? 0 : REFRESH_MS);
  if (job === undefined) {
    return (
      <main>
        {error
          ? <p class="trouble" role="alert">{error.message}</p>
          : <p class="empty">Loading…</p>}
        <p>
          <a href={linkTo({ view: "jobs" })}>All jobs</a>
        </p>
      </main>
    );
  }
  const samples = histories.samplesOf(job.jobID);
  const state = shortState(job);
  return (
    <main class="job">
      <div class="work">
        <header class="title">
          <a href={linkTo({ view: "jobs" })} aria-label="All jobs">←</a>
          <h1>{job.title || job.jobID.slice(0, 8)}</h1>
          <span class={`state ${toneOf(job)}`}>
            {exitText(job) !== "-" ? `${state} ${exitText(job)}` : state}
          </span>
          <JobActions job={job} onDone={again} />
        </header>
        <p class="commandline code">{describeCommand(job)}</p>
        {error && <p class="trouble" role="alert">{error.message}</p>}
        <OutputView key={job.jobID} job={job} />
      </div>
      <aside class="about" aria-label="About this job">
        {(!job.exited || samples.length > 1) && <Plots samples={samples} />}
        <dl class="facts">
          {factsOf(job, Date.now()).map(([name, text]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{text}</dd>
            </div>
          ))}
        </dl>
      </aside>
    </main>
  );
}
