/** The page: its head, the view that the address names, and keys. */
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { KeysDialog } from "./dialog.tsx";
import { JobsView } from "./jobs_view.tsx";
import { JobView } from "./job_view.tsx";
import { usePoll } from "./poll.ts";
import { requests } from "./requests.ts";
import { linkTo, NO_FILTER, type Route } from "./route.ts";
import { StartView } from "./start_view.tsx";
import { UsageHistories } from "./usage_history.ts";
import { useRoute } from "./use_route.ts";

/** How often the server is polled. */
const ABOUT_MS = 5_000;

/** The whole page. */
export function App() {
  const [route, navigate] = useRoute();
  const [isHelp, setIsHelp] = useState(false);
  const histories = useMemo(() => new UsageHistories(), []);
  const { answer: about, error } = usePoll(requests.about, ABOUT_MS);
  const server = about?.server;
  // Refused anyway for others, so not offered; nothing is known before the first answer.
  const isWriter = about?.roles.includes("writer") ?? false;
  // Where one goes back to from a job.
  const table = useRef(linkTo({ view: "jobs", filter: NO_FILTER }));
  if (route.view === "jobs") table.current = linkTo(route);
  useKeys(route, { isWriter, table: table.current, showHelp: () => setIsHelp(true) });
  return (
    <>
      <header class="page">
        <a class="brand" href={linkTo({ view: "jobs", filter: NO_FILTER })}>Jobs</a>
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
        {isWriter && <a class="button primary" href={linkTo({ view: "start" })}>Start a job</a>}
        <button type="button" class="keys" aria-label="Keys" onClick={() => setIsHelp(true)}>
          ?
        </button>
      </header>
      {error && about === undefined && <p class="trouble" role="alert">{error.message}</p>}
      {route.view === "jobs" && (
        <JobsView
          filter={route.filter}
          setFilter={(filter, options) => navigate({ view: "jobs", filter }, options)}
          {...{ histories, server }}
        />
      )}
      {route.view === "start" && (
        <StartView key={route.again ?? ""} again={route.again} about={about} />
      )}
      {route.view === "job" && (
        <JobView
          key={route.jobID}
          {...{ route, histories, server, isWriter }}
          table={table.current}
          setFind={(find) => navigate({ ...route, find }, { isTyped: true })}
        />
      )}
      {isHelp && <KeysDialog onClose={() => setIsHelp(false)} />}
    </>
  );
}

/** What keys need to know. */
interface KeyContext {
  readonly isWriter: boolean;
  /** The link to the table as it was. */
  readonly table: string;
  readonly showHelp: () => void;
}

/** Keys that do not belong to what has the focus. */
function useKeys(route: Route, context: KeyContext): void {
  // With the same paint that shows what they do.
  useLayoutEffect(() => {
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
      if (pressKey(event.key, route, context)) event.preventDefault();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, [route, context.isWriter]);
}

/** @returns Whether the key means something here. */
function pressKey(
  key: string,
  route: Route,
  { isWriter, table, showHelp }: KeyContext,
): boolean {
  switch (key) {
    case "?":
      showHelp();
      return true;
    case "/":
      return focus(route.view === "jobs" ? "#search" : "#find");
    case "n":
      if (isWriter) location.hash = linkTo({ view: "start" });
      return isWriter;
    case "f":
      document.querySelector<HTMLInputElement>("#follow")?.click();
      return route.view === "job";
    case "j":
    case "k":
      return step(key === "j" ? 1 : -1);
    case "Escape":
      location.hash = table;
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
