/** The jobs of the server, by what is chosen. */
import { useCallback, useState } from "preact/hooks";
import { JobsTable } from "./jobs_table.tsx";
import { labelsOf } from "./labels.tsx";
import { usePoll } from "./poll.ts";
import { requests } from "./requests.ts";
import { CHOICES, type Filter, linkTo, NO_FILTER } from "./route.ts";
import { useTitle } from "./title.ts";
import type { UsageHistories } from "./usage_history.ts";

const PAGE_SIZE = 50;

const REFRESH_MS = 2_000;

/** The states that the choices mean; an empty list means all. */
const STATES: Readonly<Record<Filter["choice"], readonly string[]>> = {
  All: [],
  Pending: ["JOB_STATE_PENDING"],
  Running: ["JOB_STATE_RUNNING", "JOB_STATE_STOPPING"],
  Failed: ["JOB_STATE_EXITED", "JOB_STATE_LOST", "JOB_STATE_NEVER_RAN"],
  Ended: ["JOB_STATE_EXITED", "JOB_STATE_NEVER_RAN"],
  Lost: ["JOB_STATE_LOST"],
};

interface JobsViewProps {
  readonly filter: Filter;
  /** Changes the address; each letter that is typed is no step to go back by. */
  readonly setFilter: (filter: Filter, options?: { readonly isTyped: boolean }) => void;
  readonly histories: UsageHistories;
  readonly server: string | undefined;
}

/** Jobs by state, text and label, page by page. */
export function JobsView({ filter, setFilter, histories, server }: JobsViewProps) {
  const { choice, text, label, pages } = filter;
  const [isRefreshed, setIsRefreshed] = useState(true);
  const pageToken = pages.at(-1) ?? "";
  const isAll = linkTo({ view: "jobs", filter: { ...filter, pages: [] } }) ===
    linkTo({ view: "jobs", filter: NO_FILTER });
  // What the server does not search by.
  const isSearched = text !== "";
  const type = (part: Partial<Filter>) =>
    setFilter({ ...filter, ...part, pages: [] }, { isTyped: true });
  const ask = useCallback(() => {
    const request = requests.jobs({
      states: STATES[choice],
      onlyFailed: choice === "Failed",
      labels: labelsOf(label),
      text,
      pageSize: PAGE_SIZE,
      pageToken,
    });
    return histories.record(request, ({ jobs }) => jobs);
  }, [choice, text, label, pageToken]);
  const { answer, error, again } = usePoll(ask, isRefreshed ? REFRESH_MS : 0);
  useTitle(choice === "All" ? "Jobs" : `${choice} jobs`, server);
  return (
    <main>
      <form class="filter" role="search" onSubmit={(event) => event.preventDefault()}>
        <fieldset class="choices">
          <legend class="unseen">State</legend>
          {CHOICES.map((name) => (
            <label key={name}>
              <input
                type="radio"
                name="state"
                checked={name === choice}
                onChange={() => setFilter({ ...filter, choice: name, pages: [] })}
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
          onInput={(event) => type({ text: event.currentTarget.value })}
        />
        <input
          type="search"
          class="label"
          aria-label="Label"
          placeholder="Label KEY=VALUE"
          value={label}
          onInput={(event) => type({ label: event.currentTarget.value })}
        />
        <label class="refresh">
          <input
            type="checkbox"
            checked={isRefreshed}
            onChange={(event) => setIsRefreshed(event.currentTarget.checked)}
          />
          Refresh
        </label>
        {!isRefreshed && <button type="button" onClick={again}>Now</button>}
      </form>
      {label.trim() !== "" && labelsOf(label).length === 0 && (
        <p class="hint">
          A label is written KEY=VALUE; several are separated by blanks, and one with blanks is
          written 'KEY=A B'.
        </p>
      )}
      {error && <p class="trouble" role="alert">{error.message}</p>}
      {answer && <JobsTable jobs={answer.jobs.map(({ job }) => job)} {...{ filter, histories }} />}
      {answer?.jobs.length === 0 && (
        <p class="empty">
          {isAll && pages.length === 0 ? "There are no jobs yet." : "No job matches."}
        </p>
      )}
      {!answer && !error && <p class="empty">Loading…</p>}
      <nav class="pages" aria-label="Pages">
        {pages.length > 0 && (
          <a
            class="button"
            href={linkTo({ view: "jobs", filter: { ...filter, pages: pages.slice(0, -1) } })}
          >
            ← Newer
          </a>
        )}
        {answer && isSearched && (
          <span>
            {answer.nextPageToken === "" ? "All" : "The newest"} {answer.scannedJobs}{" "}
            jobs were searched.
          </span>
        )}
        {answer && answer.nextPageToken !== "" && (
          <a
            class="button"
            href={linkTo({
              view: "jobs",
              filter: { ...filter, pages: [...pages, answer.nextPageToken] },
            })}
          >
            {isSearched ? "Search older jobs →" : "Older →"}
          </a>
        )}
      </nav>
    </main>
  );
}
