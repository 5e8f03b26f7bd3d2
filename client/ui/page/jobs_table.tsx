/** The table of jobs. */
import { escapeUnprintable } from "../../../common/printable.ts";
import { describeCommand } from "../../screen/command.ts";
import { describeDuration } from "../../screen/quantities.ts";
import { bytesText, nameOf, noteOf, stateText, toneOf, tookText } from "./facts.ts";
import { Labels } from "./labels.tsx";
import type { Job } from "./requests.ts";
import { type Filter, linkTo } from "./route.ts";
import type { UsageHistories } from "./usage_history.ts";

interface JobsTableProps {
  readonly jobs: readonly Job[];
  readonly filter: Filter;
  readonly histories: UsageHistories;
}

export function JobsTable({ jobs, filter, histories }: JobsTableProps) {
  const nowMs = Date.now();
  if (jobs.length === 0) return null;
  return (
    <div class="scroll">
      <table>
        <thead>
          <tr>
            <th>State</th>
            <th>Job</th>
            <th>Command</th>
            <th class="wide">Owner</th>
            <th>Started</th>
            <th class="wide">Took</th>
            <th class="wide number">CPU</th>
            <th class="wide number">Memory</th>
          </tr>
        </thead>
        <tbody>
          {jobs.map((job) => <Row key={job.jobID} {...{ job, nowMs, filter, histories }} />)}
        </tbody>
      </table>
    </div>
  );
}

interface RowProps extends Omit<JobsTableProps, "jobs"> {
  readonly job: Job;
  readonly nowMs: number;
}

/** A job; the link in it covers all of it, so that every place of the row opens the job. */
function Row({ job, nowMs, filter, histories }: RowProps) {
  const cpu = job.exited ? undefined : histories.samplesOf(job.jobID).at(-1)?.cpuPercent;
  const command = describeCommand(job);
  const note = noteOf(job, nowMs);
  return (
    <tr>
      <td>
        <span class={`state ${toneOf(job)}`}>{stateText(job)}</span>
      </td>
      <td>
        <a class="row" title={note ?? command} href={linkTo({ view: "job", jobID: job.jobID })}>
          {nameOf(job)}
        </a>
      </td>
      <td class="command">
        <div>
          <span>{command}</span>
          {!job.exited && note && <span class="note">{note}</span>}
          <Labels labels={job.labels} filter={filter} />
        </div>
      </td>
      <td class="wide">{escapeUnprintable(job.owner)}</td>
      <td class="time" title={new Date(job.startedAtMs || job.submittedAtMs).toLocaleString()}>
        {job.startedAtMs === 0 ? "-" : `${describeDuration(nowMs - job.startedAtMs)} ago`}
      </td>
      <td class="wide">{tookText(job, nowMs)}</td>
      <td class="wide number">
        {typeof cpu === "number" ? `${Math.round(cpu)} %` : ""}
      </td>
      <td class="wide number">
        {job.exited || job.startedAtMs === 0 ? "" : bytesText(job.usage?.memoryBytes)}
      </td>
    </tr>
  );
}
