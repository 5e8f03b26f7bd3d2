/** What a rule file may hold: JSON, checked. Pure. */
import * as v from "valibot";
import { isQueueName } from "../limits/queue_file.ts";
import { METHOD_NAMES, ROLES } from "../rbac.ts";

/** Matches one argument. */
export const ANY_WORD = "*";

/** At the end of a command: matches all further arguments. */
export const ANY_WORDS = "**";

/** Options of a start that give a job less of the host, by their names in the client. */
export const ISOLATION_OPTIONS = ["private-tmp", "no-network", "own-processes"] as const;

/** Options of a start that change how a command runs, by their names in the client. */
export const START_OPTIONS = [
  "stdin",
  "umask",
  "timeout",
  "grace",
  "stop-signal",
  "limits",
  "nofile",
  ...ISOLATION_OPTIONS,
] as const;

/** One of {@linkcode START_OPTIONS}. */
export type StartOption = typeof START_OPTIONS[number];

const WORD = v.pipe(v.string(), v.nonEmpty());

/** A program with any arguments, or a list of the program and each argument. */
const COMMAND = v.pipe(
  v.union([WORD, v.pipe(v.array(v.string()), v.nonEmpty())]),
  v.transform((command) => typeof command === "string" ? [command, ANY_WORDS] : command),
  v.check(
    (words) => !words.slice(0, -1).includes(ANY_WORDS) && words[0] !== ANY_WORDS,
    `"${ANY_WORDS}" is allowed only at the end of a command`,
  ),
);

/** A name of the operator's file of queues; empty: a start without a queue. */
const QUEUE = v.pipe(
  v.string(),
  v.check((name) => name === "" || isQueueName(name), "expected the name of a queue"),
);

const RULE = v.pipe(
  v.strictObject({
    role: v.optional(v.picklist(ROLES)),
    name: v.optional(WORD),
    methods: v.optional(v.array(v.picklist(METHOD_NAMES))),
    jobs: v.optional(v.picklist(["own", "all"])),
    commands: v.optional(v.array(COMMAND)),
    users: v.optional(v.array(WORD)),
    environment: v.optional(v.array(WORD)),
    directories: v.optional(v.array(WORD)),
    options: v.optional(v.array(v.picklist(START_OPTIONS))),
    isolation: v.optional(v.array(v.picklist(ISOLATION_OPTIONS))),
    queues: v.optional(v.array(QUEUE)),
  }),
  v.check(
    ({ role, name }) => role !== undefined || name !== undefined,
    'a rule needs a "role" or a "name", or both',
  ),
);

const FILE = v.strictObject({
  /** What callers may do whose name is in no rule. */
  unnamed: v.optional(v.picklist(["allowed", "refused"]), "allowed"),
  rules: v.array(RULE),
});

/** One rule: it applies to a role, a name, or a name in a role. */
export type Rule = v.InferOutput<typeof RULE>;

/** What a rule file says. */
export type RuleFileContent = v.InferOutput<typeof FILE>;

/**
 * Reads a rule file's text.
 *
 * @throws {Error} With the place and what was expected there.
 */
export function readRules(text: string): RuleFileContent {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`it is not valid JSON: ${error instanceof Error ? error.message : error}`);
  }
  if (hasRepeatedField(text, value)) {
    throw new Error("a field is given twice in one place, and only the last would hold");
  }
  const result = v.safeParse(FILE, value);
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw new Error(`${v.getDotPath(issue) ?? "the whole file"}: ${issue.message}`);
}

/**
 * Whether an object has a field twice. JSON.parse keeps only the last one, so that a restriction
 * would be lost without a word.
 *
 * @param text Valid JSON.
 * @param value What it was parsed to.
 */
function hasRepeatedField(text: string, value: unknown): boolean {
  const strings = [...text.matchAll(/"(?:[^"\\]|\\.)*"\s*(:?)/g)];
  return strings.filter(([, colon]) => colon === ":").length !== countFields(value);
}

/** How many fields the objects in a value have. */
function countFields(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  const own = Array.isArray(value) ? 0 : Object.keys(value).length;
  return Object.values(value).reduce((sum, part) => sum + countFields(part), own);
}
