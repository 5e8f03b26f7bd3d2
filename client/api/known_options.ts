/**
 * Refuses options that the library does not know: dropped in silence, a limit would not be held. The
 * compiler finds them only in TypeScript programs, and there only in literals.
 */
import { invalid } from "./error_mapping.ts";
import type {
  CallControl,
  ConnectionOptions,
  DiskLimit,
  EnvironmentOptions,
  EventsOptions,
  IdentityOptions,
  InputOptions,
  Isolation,
  JobLimits,
  ListOptions,
  OpenOptions,
  RetryOptions,
  RunOptions,
  SignalOptions,
  StartOptions,
  StatsOptions,
  StopOptions,
  StreamOptions,
  UpdateOptions,
  WaitOptions,
} from "./types.ts";

/** Every option of a type by name; the compiler refuses one that is missing. */
type Names<Options> = Readonly<Record<keyof Options, true>>;

const CONTROL: Names<CallControl> = { signal: true, callTimeoutMs: true };
const RETRY: Names<RetryOptions> = { retryForMs: true, onLost: true };
const IDENTITY: Names<IdentityOptions> = { identity: true, ca: true, cert: true, key: true };
const CONNECTION: Names<ConnectionOptions> = { server: true, retryFirst: true };
const OPEN: Names<OpenOptions> = { ...IDENTITY, ...CONNECTION };
const ENVIRONMENT: Names<EnvironmentOptions> = { ...OPEN, context: true };
const LIMITS: Names<JobLimits> = {
  cpuCores: true,
  memoryBytes: true,
  readBytesPerSecond: true,
  writeBytesPerSecond: true,
  processes: true,
  memoryHighBytes: true,
  readOperationsPerSecond: true,
  writeOperationsPerSecond: true,
  allowedCpus: true,
  disks: true,
};
const DISK: Names<DiskLimit> = {
  disk: true,
  readBytesPerSecond: true,
  writeBytesPerSecond: true,
  readOperationsPerSecond: true,
  writeOperationsPerSecond: true,
};
const ISOLATION: Names<Isolation> = { privateTmp: true, noNetwork: true, ownProcesses: true };
const START: Names<StartOptions> = {
  ...CONTROL,
  idempotencyKey: true,
  name: true,
  title: true,
  labels: true,
  env: true,
  workingDirectory: true,
  user: true,
  umask: true,
  openFiles: true,
  stdin: true,
  openStdin: true,
  timeoutMs: true,
  stopSignal: true,
  graceMs: true,
  limits: true,
  isolation: true,
  separateStderr: true,
  queue: true,
  partition: true,
  account: true,
  qos: true,
  nice: true,
  cpus: true,
  gpus: true,
  constraint: true,
  begin: true,
  after: true,
};
const RUN: Names<RunOptions> = {
  ...START,
  ...RETRY,
  input: true,
  onStart: true,
  onOutput: true,
  onStderr: true,
  maxOutputBytes: true,
  stopOnAbort: true,
};
const SIGNAL: Names<SignalOptions> = { ...CONTROL, mainOnly: true };
const STOP: Names<StopOptions> = { ...SIGNAL, graceMs: true };
const UPDATE: Names<UpdateOptions> = { ...CONTROL, limits: true, reset: true, fromFiles: true };
const LIST: Names<ListOptions> = {
  ...CONTROL,
  states: true,
  labels: true,
  owner: true,
  queue: true,
  startedAfter: true,
  startedBefore: true,
  limit: true,
  withUsage: true,
};
const STREAM: Names<StreamOptions> = {
  ...CONTROL,
  ...RETRY,
  offset: true,
  tailLines: true,
  tailBytes: true,
  since: true,
  until: true,
  timestamps: true,
  stderr: true,
  follow: true,
  onResumed: true,
};
const EVENTS: Names<EventsOptions> = {
  ...CONTROL,
  since: true,
  until: true,
  after: true,
  jobID: true,
  labels: true,
  owner: true,
  follow: true,
  retryForMs: true,
  onLost: true,
  onResumed: true,
};
const INPUT: Names<InputOptions> = { ...CONTROL, ...RETRY, keepOpen: true };
const WAIT: Names<WaitOptions> = { ...CONTROL, ...RETRY };
const STATS: Names<StatsOptions> = { ...CONTROL, labels: true, intervalMs: true };

/** The options of each call. */
const KNOWN = {
  open: OPEN,
  connect: { ...OPEN, ...CONTROL },
  fromEnvironment: ENVIRONMENT,
  start: START,
  run: RUN,
  stop: STOP,
  signal: SIGNAL,
  update: UPDATE,
  list: LIST,
  stream: STREAM,
  events: EVENTS,
  input: INPUT,
  wait: WAIT,
  stats: STATS,
  call: CONTROL,
} as const satisfies Readonly<Record<string, Readonly<Record<string, true>>>>;

/** Options that are objects of options. */
const NESTED: Readonly<Record<string, Readonly<Record<string, true>>>> = {
  limits: LIMITS,
  isolation: ISOLATION,
};

/** Names that other tools and the command line give to options. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  cpu: "limits.cpuCores",
  cpuset: "limits.allowedCpus",
  cwd: "workingDirectory",
  dir: "workingDirectory",
  environment: "env",
  input: "stdin",
  network: "isolation.noNetwork",
  nofile: "openFiles",
  pids: "limits.processes",
  tail: "tailLines",
};

/** A name that differs by more letters is no slip. */
const MOST_EDITS = 3;

/**
 * Checks that all options are known, those inside of `limits` and `isolation`, too.
 *
 * @param call Whose options; `call` where it takes only a signal and a timeout.
 * @throws {JobWorkerError} One is not known; the message names it and the nearest known one.
 */
export function checkOptions(call: keyof typeof KNOWN, options: unknown): void {
  const known: Readonly<Record<string, true>> = KNOWN[call];
  checkObject("the options", options);
  const nested = Object.entries(NESTED).filter(([name]) => Object.hasOwn(known, name));
  const paths = [
    ...Object.keys(known),
    ...nested.flatMap(([name, inner]) => Object.keys(inner).map((key) => `${name}.${key}`)),
  ];
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(known, name)) throw unknownOption(name, paths);
  }
  for (const [name, inner] of nested) {
    const value = (options as Record<string, unknown>)[name];
    if (value === undefined) continue;
    checkObject(name, value);
    const innerPaths = paths.filter((path) => path.startsWith(`${name}.`));
    for (const key of Object.keys(value)) {
      if (!Object.hasOwn(inner, key)) throw unknownOption(`${name}.${key}`, innerPaths);
    }
  }
}

/**
 * Checks that all fields of a limit of a disk are known.
 *
 * @throws {JobWorkerError} One is not known.
 */
export function checkDisk(disk: unknown): asserts disk is DiskLimit {
  checkObject("limits.disks", disk);
  for (const name of Object.keys(disk)) {
    if (!Object.hasOwn(DISK, name)) throw unknownOption(`limits.disks.${name}`, Object.keys(DISK));
  }
}

function checkObject(name: string, value: unknown): asserts value is object {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return;
  throw invalid(`Cannot use ${name}: expected an object.`);
}

function unknownOption(name: string, known: readonly string[]) {
  const nearest = nearestOption(name, known);
  const hint = nearest === undefined
    ? `The options are ${known.join(", ")}.`
    : `Did you mean "${nearest}"?`;
  return invalid(`There is no option "${name}". ${hint}`);
}

/** The known option that is most likely meant. */
function nearestOption(name: string, known: readonly string[]): string | undefined {
  const lastOf = (path: string) => path.slice(path.lastIndexOf(".") + 1).toLowerCase();
  const word = lastOf(name);
  const other = Object.hasOwn(OTHER_NAMES, word) ? OTHER_NAMES[word] : undefined;
  if (other !== undefined && known.includes(other)) return other;
  const byPart = known.find((path) => lastOf(path).startsWith(word)) ??
    known.find((path) => word.length > 2 && lastOf(path).includes(word));
  if (byPart !== undefined) return byPart;
  const [nearest] = known
    .map((path) => ({ path, edits: editsBetween(word, lastOf(path)) }))
    .filter(({ edits }) => edits <= Math.min(MOST_EDITS, word.length / 2))
    .sort((one, two) => one.edits - two.edits);
  return nearest?.path;
}

/** How many letters must be added, removed or replaced to make one word of the other (Levenshtein). */
function editsBetween(one: string, other: string): number {
  let above = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (const [row, letter] of [...one].entries()) {
    const line = [row + 1];
    for (const [column, otherLetter] of [...other].entries()) {
      const replaced = (above[column] ?? 0) + (letter === otherLetter ? 0 : 1);
      line.push(Math.min(replaced, (above[column + 1] ?? 0) + 1, (line[column] ?? 0) + 1));
    }
    above = line;
  }
  return above[other.length] ?? 0;
}
