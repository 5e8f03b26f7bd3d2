/** The view that the address names, so that going back and reloading work. Pure. */

/** A view. */
export type Route =
  | { readonly view: "jobs" }
  | { readonly view: "start" }
  | { readonly view: "job"; readonly jobID: string };

/** Reads the part of the address behind `#`. */
export function parseRoute(hash: string): Route {
  const [, view, id] = hash.split("/");
  if (view === "start") return { view };
  if (view === "job" && id) return { view, jobID: decode(id) };
  return { view: "jobs" };
}

/** The link to a view. */
export function linkTo(route: Route): string {
  return route.view === "job" ? `#/job/${encodeURIComponent(route.jobID)}` : `#/${route.view}`;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
