/** The user map: which users of a cluster the jobs of which clients run as. Pure. */
import { JobError, quoted } from "../errors.ts";
import { MAPPED_USER } from "../model/mapped_user.ts";
import type { JobRequest } from "../model/request.ts";
import { isUserName } from "../model/settings.ts";
import { type Caller, type Role, ROLES } from "../rbac.ts";

/** One line: the users whom a client, or a role, may have its jobs run as; the first one by default. */
interface MapLine {
  readonly kind: "name" | "role";
  readonly who: string;
  readonly accounts: readonly string[];
}

/** Users that a line may have. */
const MAX_ACCOUNTS = 100;

/** The lines of a file. A client's own line holds, else the first one of its roles. */
export class UserMap {
  readonly #lines: readonly MapLine[];

  constructor(lines: readonly MapLine[]) {
    this.#lines = lines;
  }

  /** All users in it, each once. */
  get accounts(): string[] {
    return [...new Set(this.#lines.flatMap(({ accounts }) => accounts))];
  }

  /** The users whom a client may have its jobs run as, the one by default first; none: it is not in the map. */
  accountsOf({ name, roles }: Caller): readonly string[] {
    const own = this.#lines.find(({ kind, who }) => kind === "name" && who === name);
    const line = own ??
      this.#lines.find(({ kind, who }) => kind === "role" && roles.includes(who as Role));
    return line?.accounts ?? [];
  }

  /**
   * Gives the job of a client its user.
   *
   * @throws {JobError} "denied" where the client is not in the map, or asks for a user whom it does not give it.
   */
  place(caller: Caller, request: JobRequest): JobRequest {
    const [first, ...others] = this.accountsOf(caller);
    if (first === undefined) {
      throw new JobError(
        "denied",
        `Cannot start the job: the server's user map (--user-map) has no line for ${
          quoted(caller.name)
        }, so that ` +
          "no user of the cluster is known for it; ask the server's operator for one",
      );
    }
    const { settings } = request;
    if (settings.user === MAPPED_USER) return withUser(request, first);
    if ([first, ...others].includes(settings.user)) return request;
    throw new JobError(
      "denied",
      `Cannot start the job: ${caller.name} may not run jobs as ${settings.user}, only as ${
        [first, ...others].join(" or ")
      } (--user): the server's user map (--user-map) does not allow it`,
    );
  }
}

function withUser(request: JobRequest, user: string): JobRequest {
  return { ...request, settings: { ...request.settings, user } };
}

/**
 * Parses a user map: lines `name NAME USER,USER…` and `role ROLE USER,…`, where NAME may be in double quotes as in
 * JSON; empty lines, and lines that begin with `#`.
 *
 * @throws {Error} With the number of the line, and what was expected there.
 */
export function parseUserMap(text: string): UserMap {
  const lines: MapLine[] = [];
  const seen = new Map<string, number>();
  for (const [index, content] of text.split("\n").entries()) {
    const trimmed = content.trim();
    if (trimmed === "" || trimmed.startsWith("#")) continue;
    const number = index + 1;
    const line = parseLine(trimmed, number);
    const key = JSON.stringify([line.kind, line.who]);
    const earlier = seen.get(key);
    if (earlier !== undefined) {
      throw problem(number, `${line.kind} ${quoted(line.who)} is in line ${earlier} already`);
    }
    seen.set(key, number);
    lines.push(line);
  }
  return new UserMap(lines);
}

const SHAPE = /^(\S+)\s+("(?:[^"\\]|\\.)*"|[^\s"]+)\s+(\S+)$/;

function parseLine(text: string, number: number): MapLine {
  const [, kind = "", shown = "", users = ""] = SHAPE.exec(text) ?? [];
  if (kind !== "name" && kind !== "role") {
    throw problem(
      number,
      `expected "name NAME USER" or "role ROLE USER", with more users behind commas, found ${
        quoted(text)
      }`,
    );
  }
  const who = unquoted(shown, number);
  if (kind === "role" && !ROLES.some((role) => role === who)) {
    throw problem(number, `there is no role ${quoted(who)}, only ${ROLES.join(" and ")}`);
  }
  return { kind, who, accounts: parseAccounts(users, number) };
}

function unquoted(shown: string, number: number): string {
  if (!shown.startsWith('"')) return shown;
  try {
    const who: unknown = JSON.parse(shown);
    if (typeof who === "string" && who !== "") return who;
  } catch {
    // Told below.
  }
  throw problem(number, `${quoted(shown)} is no name in quotes`);
}

function parseAccounts(users: string, number: number): string[] {
  const accounts = users.split(",");
  for (const account of accounts) {
    if (!isUserName(account)) throw problem(number, `${quoted(account)} is not the name of a user`);
    if (account === "root") throw problem(number, "root is no user for jobs of others");
  }
  if (new Set(accounts).size !== accounts.length) throw problem(number, "a user is there twice");
  if (accounts.length > MAX_ACCOUNTS) {
    throw problem(number, `it has more than ${MAX_ACCOUNTS} users`);
  }
  return accounts;
}

function problem(number: number, text: string): Error {
  return new Error(`line ${number}: ${text}`);
}
