/** The table of jobs. */
import { useCallback, useState } from "preact/hooks";
import { escapeUnprintable } from "../../../common/printable.ts";
import { describeCommand } from "../../screen/command.ts";
import { shortState } from "../../screen/format.ts";
import { describeDuration } from "../../screen/quantities.ts";
import { bytesText, exitText, toneOf, tookText } from "./facts.ts";
import { usePoll } from "./poll.ts";
import { type Job, requests } from "./requests.ts";
import { linkTo } from "./route.ts";
import type { UsageHistories } from "./usage_history.ts";

const PAGE_SIZE = 50;

const REFRESH_MS = 2_000;

/** The choices, and the states that they mean; an empty list means all. */
const CHOICES: readonly (readonly [label: string, states: readonly string[]])[] = [
  ["All", []],
  ["Running", ["JOB_STATE_PENDING", "JOB_STATE_RUNNING", "JOB_STATE_STOPPING"]],
  ["Ended", ["JOB_STATE_EXITED", "JOB_STATE_NEVER_RAN"]],
  ["Lost", ["JOB_STATE_LOST"]],
];

/** The filter of the table; kept while another view is open. */
export interface Filter {
  readonly choice: string;
  readonly text: string;
  readonly label: string;
  readonly isRefreshed: boolean;
}

export const FIRST_FILTER: Filter = { choice: "All", text: "", label: "", isRefreshed: true };

interface JobsViewProps {
  readonly filter: Filter;
  readonly setFilter: (filter: Filter) => void;
  readonly histories: UsageHistories;
}

/** Jobs by state, text and label, page by page. */
export function JobsView({ filter, setFilter, histories }: JobsViewProps) {
  const { choice, text, label, isRefreshed } = filter;
  const [tokens, setTokens] = useState<readonly string[]>([""]);
  const pageToken = tokens.at(-1) ?? "";
  const change = (part: Partial<Filter>) => {
    setTokens([""]);
    setFilter({ ...filter, ...part });
  };
  const ask = useCallback(() => {
    const request = requests.jobs({
      states: CHOICES.find(([name]) => name === choice)?.[1] ?? [],
      labels: labelsOf(label),
      text,
      pageSize: PAGE_SIZE,
      pageToken,
    });
    return histories.record(request, ({ jobs }) => jobs);
  }, [choice, text, label, pageToken]);
  const { answer, error, again } = usePoll(ask, isRefreshed ? REFRESH_MS : 0);
  return (
    <main>
      <form class="filter" role="search" onSubmit={(event) => event.preventDefault()}>
        <fieldset class="choices">
          <legend class="unseen">State</legend>
          {CHOICES.map(([name]) => (
            <label key={name}>
              <input
                type="radio"
                name="state"
                checked={name === choice}
                onChange={() => change({ choice: name })}
              />
              {name}
            </label>
          ))}
        </fieldset>
        <input
          type="search"
          id="search"
          aria-label="Search"
          placeholder="Search id, name, command, owner (/)"
          value={text}
          onInput={(event) => change({ text: event.currentTarget.value })}
        />
        <input
          type="search"
          class="label"
          aria-label="Label"
          placeholder="Label KEY=VALUE"
          value={label}
          onInput={(event) => change({ label: event.currentTarget.value })}
        />
        <label class="refresh">
          <input
            type="checkbox"
            checked={isRefreshed}
            onChange={(event) => setFilter({ ...filter, isRefreshed: event.currentTarget.checked })}
          />
          Refresh
        </label>
        {!isRefreshed && <button type="button" onClick={again}>Now</button>}
      </form>
      {label.trim() !== "" && labelsOf(label).length === 0 && (
        <p class="hint">A label is written KEY=VALUE; separate several by blanks.</p>
      )}
      {error && <p class="trouble" role="alert">{error.message}</p>}
      {answer && <Table jobs={answer.jobs.map(({ job }) => job)} histories={histories} />}
      {answer?.jobs.length === 0 && (
        <p class="empty">
          {choice === "All" && text === "" && label === ""
            ? "There are no jobs yet."
            : "No job matches."}
        </p>
      )}
      {!answer && !error && <p class="empty">Loading…</p>}
      <nav class="pages" aria-label="Pages">
        {tokens.length > 1 && (
          <button type="button" onClick={() => setTokens(tokens.slice(0, -1))}>← Newer</button>
        )}
        {answer && text !== "" && (
          <span>
            {answer.nextPageToken === "" ? "All" : "The newest"} {answer.scannedJobs}{" "}
            jobs were searched.
          </span>
        )}
        {answer && answer.nextPageToken !== "" && (
          <button
            type="button"
            onClick={() => setTokens([...tokens, answer.nextPageToken])}
          >
            {text === "" ? "Older →" : "Search older jobs →"}
          </button>
        )}
      </nav>
    </main>
  );
}

interface TableProps {
  readonly jobs: readonly Job[];
  readonly histories: UsageHistories;
}

function Table({ jobs, histories }: TableProps) {
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
          {jobs.map((job) => <Row key={job.jobID} {...{ job, nowMs, histories }} />)}
        </tbody>
      </table>
    </div>
  );
}

interface RowProps {
  readonly job: Job;
  readonly nowMs: number;
  readonly histories: UsageHistories;
}

function Row({ job, nowMs, histories }: RowProps) {
  const cpu = job.exited ? undefined : histories.samplesOf(job.jobID).at(-1)?.cpuPercent;
  return (
    <tr>
      <td>
        <span class={`state ${toneOf(job)}`}>{stateText(job)}</span>
      </td>
      <td>
        <a class="row" href={linkTo({ view: "job", jobID: job.jobID })}>
          {job.title || job.jobID.slice(0, 8)}
        </a>
      </td>
      <td class="command" title={describeCommand(job)}>{describeCommand(job)}</td>
      <td class="wide">{escapeUnprintable(job.owner)}</td>
      <td class="time" title={new Date(job.startedAtMs || job.submittedAtMs).toLocaleString()}>
        {describeDuration(nowMs - (job.startedAtMs || job.submittedAtMs))} ago
      </td>
      <td class="wide">{tookText(job, nowMs)}</td>
      <td class="wide number">
        {typeof cpu === "number" ? `${Math.round(cpu)} %` : ""}
      </td>
      <td class="wide number">{job.exited ? "" : bytesText(job.usage?.memoryBytes)}</td>
    </tr>
  );
}

/** The complete labels in a text that is being typed. */
function labelsOf(text: string): string[] {
  return text.trim().split(/\s+/).filter((word) => word.indexOf("=") > 0);
}

/** The state, with the exit code of a job that has ended. */
function stateText(job: Job): string {
  const state = shortState(job);
  return exitText(job) !== "-" ? `${state} ${exitText(job)}` : state;
}
