/** The page: its head, the view that the address names, and keys. */
import { useEffect, useMemo, useState } from "preact/hooks";
import { KeysDialog } from "./dialog.tsx";
import { FIRST_FILTER, JobsView } from "./jobs_view.tsx";
import { JobView } from "./job_view.tsx";
import { usePoll } from "./poll.ts";
import { requests } from "./requests.ts";
import { linkTo, parseRoute, type Route } from "./route.ts";
import { StartView } from "./start_view.tsx";
import { UsageHistories } from "./usage_history.ts";

/** How often the server is polled. */
const ABOUT_MS = 5_000;

/** The whole page. */
export function App() {
  const route = useRoute();
  const [filter, setFilter] = useState(FIRST_FILTER);
  const [isHelp, setIsHelp] = useState(false);
  const histories = useMemo(() => new UsageHistories(), []);
  const { answer: about, error } = usePoll(requests.about, ABOUT_MS);
  useKeys(route, () => setIsHelp(true));
  useEffect(() => {
    document.title = about === undefined ? "Jobs" : `Jobs on ${about.server}`;
  }, [about?.server]);
  return (
    <>
      <header class="page">
        <a class="brand" href={linkTo({ view: "jobs" })}>Jobs</a>
        <span class={error ? "server away" : "server"} role="status">
          {about === undefined
            ? "…"
            : `${about.server}${error ? " cannot be reached, trying again…" : ""}`}
        </span>
        {about && (
          <span class="who">
            {about.userName} ({about.roles.join(", ")})
          </span>
        )}
        <a class="button primary" href={linkTo({ view: "start" })}>Start a job</a>
        <button type="button" class="keys" aria-label="Keys" onClick={() => setIsHelp(true)}>
          ?
        </button>
      </header>
      {error && about === undefined && <p class="trouble" role="alert">{error.message}</p>}
      {route.view === "jobs" && <JobsView {...{ filter, setFilter, histories }} />}
      {route.view === "start" && <StartView about={about} />}
      {route.view === "job" && (
        <JobView key={route.jobID} jobID={route.jobID} histories={histories} />
      )}
      {isHelp && (
        <KeysDialog onClose={() => setIsHelp(false)} />
      )}
    </>
  );
}

function useRoute(): Route {
  const [route, setRoute] = useState(() => parseRoute(location.hash));
  useEffect(() => {
    const follow = () => setRoute(parseRoute(location.hash));
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  return route;
}

/** Keys that do not belong to what has the focus. */
function useKeys(route: Route, showHelp: () => void): void {
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (document.querySelector("dialog[open]") !== null) return;
      const { target } = event;
      const isField = target instanceof HTMLElement &&
        target.matches("input:not([type=checkbox], [type=radio]), textarea, select");
      if (isField) {
        if (event.key === "Escape") target.blur();
        return;
      }
      if (pressKey(event.key, route, showHelp)) event.preventDefault();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, [route]);
}

/** @returns Whether the key means something here. */
function pressKey(key: string, route: Route, showHelp: () => void): boolean {
  switch (key) {
    case "?":
      showHelp();
      return true;
    case "/":
      return focus(route.view === "jobs" ? "#search" : "#find");
    case "n":
      location.hash = linkTo({ view: "start" });
      return true;
    case "f":
      document.querySelector<HTMLInputElement>("#follow")?.click();
      return route.view === "job";
    case "j":
    case "k":
      return step(key === "j" ? 1 : -1);
    case "Escape":
      location.hash = linkTo({ view: "jobs" });
      return true;
    default:
      return false;
  }
}

function focus(selector: string): boolean {
  const element = document.querySelector<HTMLElement>(selector);
  element?.focus();
  return element !== null;
}

/** Moves the focus among the jobs of the table. */
function step(direction: 1 | -1): boolean {
  const links = [...document.querySelectorAll<HTMLElement>("a.row")];
  const index = links.findIndex((link) => link === document.activeElement);
  const next = index < 0 ? (direction > 0 ? 0 : links.length - 1) : index + direction;
  links[next]?.focus();
  return links.length > 0;
}
