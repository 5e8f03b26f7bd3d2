/**
 * The view that the address names, with what is chosen in it, so that going back, reloading and
 * passing on an address work. Pure.
 */

/** The choices of states. */
export const CHOICES = ["All", "Pending", "Running", "Failed", "Ended", "Lost"] as const;

/** Which jobs the table shows. */
export interface Filter {
  readonly choice: typeof CHOICES[number];
  /** The searched text. */
  readonly text: string;
  /** KEY=VALUE texts, as words of a command line. */
  readonly label: string;
  /** Where the page begins, and where those before it began: tokens of the server. */
  readonly pages: readonly string[];
}

export const NO_FILTER: Filter = { choice: "All", text: "", label: "", pages: [] };

/** A view. */
export type Route =
  | { readonly view: "jobs"; readonly filter: Filter }
  /** `again`: the job whose command and settings are offered. */
  | { readonly view: "start"; readonly again?: string }
  /** `find`: what is searched in its output; `show`: the one output that is shown, where there are two. */
  | {
    readonly view: "job";
    readonly jobID: string;
    readonly find?: string;
    readonly show?: "stdout" | "stderr";
  };

/** Reads the part of the address behind `#`. */
export function parseRoute(hash: string): Route {
  const [path = "", query = ""] = split(hash.replace(/^#/, ""));
  const [, view, id] = path.split("/");
  const given = new URLSearchParams(query);
  if (view === "start") {
    const again = given.get("again");
    return { view, ...(again && { again }) };
  }
  if (view === "job" && id) {
    const find = given.get("find");
    const show = given.get("show");
    return {
      view,
      jobID: decode(id),
      ...(find && { find }),
      ...((show === "stdout" || show === "stderr") && { show }),
    };
  }
  const state = given.get("state");
  return {
    view: "jobs",
    filter: {
      choice: CHOICES.find((choice) => choice.toLowerCase() === state) ?? "All",
      text: given.get("text") ?? "",
      label: given.get("label") ?? "",
      pages: given.getAll("page"),
    },
  };
}

/** The link to a view. */
export function linkTo(route: Route): string {
  switch (route.view) {
    case "job":
      return address(`job/${encodeURIComponent(route.jobID)}`, [
        ["find", route.find ?? ""],
        ["show", route.show ?? ""],
      ]);
    case "start":
      return address("start", [["again", route.again ?? ""]]);
    case "jobs": {
      const { choice, text, label, pages } = route.filter;
      return address("jobs", [
        ["state", choice === "All" ? "" : choice.toLowerCase()],
        ["text", text],
        ["label", label],
        ...pages.map((page) => ["page", page] as const),
      ]);
    }
  }
}

/** What is empty is left out. */
function address(path: string, fields: readonly (readonly [name: string, value: string])[]) {
  const query = new URLSearchParams();
  for (const [name, value] of fields) if (value !== "") query.append(name, value);
  return `#/${path}${query.size > 0 ? `?${query}` : ""}`;
}

/** In two, at the first `?`. */
function split(text: string): string[] {
  const index = text.indexOf("?");
  return index < 0 ? [text] : [text.slice(0, index), text.slice(index + 1)];
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
