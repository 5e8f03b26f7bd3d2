/** How a job is to be run: what clients may choose, checked. Pure. */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { posix } from "node:path";
import { looksLikeId } from "../../common/job_id.ts";
import { MAX_INPUT_BYTES } from "../../common/job_input.ts";
import { type SignalName, SIGNALS } from "../../common/signals.ts";
import { JobError, quoted } from "../errors.ts";
import { type AskedQueue, type QueueSettings, readQueue, waitsOnHost } from "./queue.ts";

/** What a job has to itself. */
export interface Isolation {
  /** An empty /tmp and /var/tmp. */
  readonly privateTmp: boolean;
  readonly noNetwork: boolean;
  /** It sees its own processes only. */
  readonly ownProcesses: boolean;
}

/** How a job is run; remembered with it. */
export interface JobSettings {
  /** A name of this host's users, or a uid of `--owner-uids`. */
  readonly user: string;
  /** The name of the group that it has in place of its user's first one; in requests also a gid. */
  readonly group?: string;
  /** Absolute. */
  readonly workingDirectory: string;
  /** Permissions that the job's new files do not get (umask(2)). */
  readonly umask: number;
  /** The job is stopped when it has run for this long; 0: no timeout. */
  readonly timeoutMs: number;
  /** The signal that asks it to end. */
  readonly stopSignal: SignalName;
  /** Between that signal and SIGKILL; absent: the server's default. */
  readonly graceMs?: number;
  readonly isolation: Isolation;
  /** The job's name; empty: none. */
  readonly title: string;
  readonly labels: Readonly<Record<string, string>>;
  /** SHA-256 of the environment and the standard input, to compare a repeated Start; empty: neither. */
  readonly secretsDigest: string;
  /** It reads what clients send while it runs. */
  readonly openStdin?: true;
  /** The most files that one of its processes may have open; absent: the server's choice. */
  readonly openFiles?: number;
  /** Its standard error is an output of its own; absent: both are one. */
  readonly separateStderr?: true;
  /** What it asks a cluster's queue for; absent: nothing. */
  readonly queue?: QueueSettings;
}

/** What a job is given and the server does not store: it may hold secrets. */
export interface JobSecrets {
  readonly environment: Readonly<Record<string, string>>;
  readonly input: Uint8Array;
}

/** What a client asks for, as the contract has it; empty stands for the default. */
export interface AskedSettings extends AskedQueue {
  readonly env: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
  readonly user: string;
  readonly timeoutMs: number;
  readonly isolation: Isolation | null | undefined;
  readonly stopSignal: string;
  readonly title: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly stdin: Uint8Array;
  readonly openStdin: boolean;
  readonly gracePeriodMs?: number | undefined;
  readonly umask?: number | undefined;
  readonly openFiles: number;
  readonly separateStderr?: boolean;
}

/** The settings of a Start that asks for none, and of jobs that an earlier server started without. */
export const DEFAULT_SETTINGS: JobSettings = {
  user: "root",
  workingDirectory: "/",
  umask: 0o022,
  timeoutMs: 0,
  stopSignal: "TERM",
  isolation: { privateTmp: false, noNetwork: false, ownProcesses: false },
  title: "",
  labels: {},
  secretsDigest: "",
};

/** The longest time that a job may be given between SIGTERM and SIGKILL: an hour. */
export const MAX_GRACE_MS = 3_600_000;

/** What the shells need that start a job, and most programs. */
export const MIN_OPEN_FILES = 64;

/** Ten years. */
const MAX_TIMEOUT_MS = 10 * 365 * 86_400_000;

/** Linux's bound for one string of the environment, name and NUL byte included (MAX_ARG_STRLEN). */
const MAX_VARIABLE_BYTES = 128 * 1024 - 64;

/** All variables together, with their names; the arguments have a bound of their own. */
const MAX_ENVIRONMENT_BYTES = 512 * 1024;

const MAX_VARIABLES = 1000;

export const MAX_LABELS = 32;
const MAX_LABEL_BYTES = 256;
const MAX_PATH_BYTES = 4095;

/** Set by the server for each job. */
const JOB_ID_VARIABLE = "JOB_ID";

/** The rule of useradd(8), and the characters `.` and `@` that directory services (LDAP) add. */
const USER = /^[A-Za-z_][A-Za-z0-9_.@-]{0,63}$/;

/** A uid as it is usually written: no zeros in front, which would hide which one it is. */
const UID = /^(?:0|[1-9]\d{0,9})$/;

/** The kernel's 2^32 - 1 is no uid, but means "as it is". */
const MAX_UID = 2 ** 32 - 2;

const TITLE = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;

const LABEL_NAME = /^[A-Za-z0-9][A-Za-z0-9_./-]{0,62}$/;

/**
 * Checks what a client asks for.
 *
 * @param defaultUser The user that jobs run as where the client names none.
 * @throws {JobError} "invalid", with what was expected.
 */
export function readSettings(
  asked: AskedSettings,
  defaultUser: string,
): { settings: JobSettings; secrets: JobSecrets } {
  const secrets = { environment: checkEnvironment(asked.env), input: asked.stdin };
  if (asked.stdin.length > MAX_INPUT_BYTES) {
    throw refusal("its standard input is above 2 MiB; hand long data over in a file");
  }
  if (asked.openStdin && asked.stdin.length > 0) {
    throw refusal("its standard input is either sent with the start or while the job runs");
  }
  const { umask = DEFAULT_SETTINGS.umask, gracePeriodMs, timeoutMs } = asked;
  if (umask > 0o777) throw refusal("the umask is above 777 (octal)");
  if (timeoutMs > MAX_TIMEOUT_MS) throw refusal("the timeout is above ten years");
  if (gracePeriodMs !== undefined && gracePeriodMs > MAX_GRACE_MS) {
    throw refusal("the grace period is above an hour");
  }
  if (asked.openFiles !== 0 && asked.openFiles < MIN_OPEN_FILES) {
    throw refusal(`a limit of ${asked.openFiles} open files is below ${MIN_OPEN_FILES}`);
  }
  const queue = readQueue(asked);
  if (asked.openStdin && waitsOnHost(queue)) {
    throw refusal(
      "a job that waits for its turn cannot be sent its input while it runs; send up to 2 MiB with the " +
        "start (--stdin)",
    );
  }
  const settings: JobSettings = {
    ...(asked.user === "" ? { user: defaultUser } : readUser(asked.user)),
    workingDirectory: checkFolder(asked.workingDirectory || DEFAULT_SETTINGS.workingDirectory),
    umask,
    timeoutMs,
    stopSignal: checkStopSignal(asked.stopSignal),
    ...(gracePeriodMs === undefined ? {} : { graceMs: gracePeriodMs }),
    isolation: { ...DEFAULT_SETTINGS.isolation, ...asked.isolation },
    title: checkTitle(asked.title),
    labels: checkLabels(asked.labels),
    secretsDigest: digestOf(secrets),
    ...(asked.openStdin && { openStdin: true }),
    ...(asked.openFiles === 0 ? {} : { openFiles: asked.openFiles }),
    ...(asked.separateStderr === true && { separateStderr: true }),
    ...(queue === undefined ? {} : { queue }),
  };
  return { settings, secrets };
}

/**
 * Reads a signal's name, with or without SIG.
 *
 * @throws {JobError} "invalid", with the names that there are.
 */
export function readSignal(name: string): SignalName {
  const plain = name.toUpperCase().replace(/^SIG/, "");
  const signal = SIGNALS.find((known) => known === plain);
  if (signal !== undefined) return signal;
  throw new JobError(
    "invalid",
    `${quoted(name)} is not a signal that can be sent to a job: expected one of ${
      SIGNALS.join(", ")
    }`,
  );
}

function checkStopSignal(name: string): SignalName {
  if (name === "") return DEFAULT_SETTINGS.stopSignal;
  const signal = readSignal(name);
  // Neither ends a process: one suspends it, the other resumes it.
  if (signal !== "STOP" && signal !== "CONT") return signal;
  throw refusal(`SIG${signal} does not end a job`);
}

function checkEnvironment(env: Readonly<Record<string, string>>): Record<string, string> {
  const entries = Object.entries(env);
  if (entries.length > MAX_VARIABLES) {
    throw refusal(`it has more than ${MAX_VARIABLES} environment variables`);
  }
  let total = 0;
  for (const [name, value] of entries) {
    const shown = quoted(name);
    if (name === "" || /[=\0]/.test(name)) {
      throw refusal(
        `${shown} is not a name of an environment variable: it is empty, or has "=" or a NUL byte in it`,
      );
    }
    if (name === JOB_ID_VARIABLE) {
      throw refusal(`the variable ${JOB_ID_VARIABLE} is the server's to set: leave it out`);
    }
    // A value may be a secret: it is in no message.
    if (value.includes("\0")) throw refusal(`the variable ${shown} contains a NUL byte`);
    const bytes = Buffer.byteLength(name) + Buffer.byteLength(value) + 2;
    if (bytes > MAX_VARIABLE_BYTES) throw refusal(`the variable ${shown} is above 127 KiB`);
    total += bytes;
  }
  if (total > MAX_ENVIRONMENT_BYTES) throw refusal("its environment is above 512 KiB");
  return { ...env };
}

/** Whether a text is a valid user name. */
export function isUserName(text: string): boolean {
  return USER.test(text);
}

/** Whether a text is a uid. */
export function isUid(text: string): boolean {
  return UID.test(text) && Number(text) <= MAX_UID;
}

/** Reads `USER` or `USER:GROUP`. */
function readUser(text: string): Pick<JobSettings, "user" | "group"> {
  const [user = "", ...rest] = text.split(":");
  const group = rest.length === 0 ? undefined : rest.join(":");
  for (const name of group === undefined ? [user] : [user, group]) {
    if (isUserName(name) || isUid(name)) continue;
    throw refusal(
      `${
        quoted(name)
      } is not a valid user: expected a name or a uid of the server's host, or such a ` +
        "user, a colon and a group",
    );
  }
  return { user, ...(group === undefined ? {} : { group }) };
}

/** Whom a job runs as, as a start writes it. */
export function userText({ user, group }: Pick<JobSettings, "user" | "group">): string {
  return group === undefined ? user : `${user}:${group}`;
}

function checkFolder(path: string): string {
  if (!posix.isAbsolute(path)) {
    throw refusal(`the working directory ${quoted(path)} is not an absolute path`);
  }
  if (path.includes("\0") || path.includes("\n") || Buffer.byteLength(path) > MAX_PATH_BYTES) {
    throw refusal(
      "the working directory has a NUL byte or a newline in it, or is above 4095 bytes",
    );
  }
  return path;
}

function checkTitle(title: string): string {
  if (title === "" || TITLE.test(title) && !looksLikeId(title)) return title;
  throw refusal(
    `${
      quoted(title)
    } is not a valid job name: expected up to 64 letters, digits, ".", "_" and "-", ` +
      "and nothing that could be a job's id",
  );
}

/** Whether a text is a valid name of a label. It then holds no quotes either. */
export function isLabelName(text: string): boolean {
  return LABEL_NAME.test(text);
}

/** Said of a text that is not a valid name of a label. */
export const LABEL_NAME_EXPECTED = "expected up to 63 letters, digits and ./_-";

function checkLabels(labels: Readonly<Record<string, string>>): Record<string, string> {
  const entries = Object.entries(labels);
  if (entries.length > MAX_LABELS) throw refusal(`it has more than ${MAX_LABELS} labels`);
  for (const [name, value] of entries) {
    if (!isLabelName(name)) {
      throw refusal(`${quoted(name)} is not a valid label name: ${LABEL_NAME_EXPECTED}`);
    }
    if (/\p{Cc}/u.test(value) || Buffer.byteLength(value) > MAX_LABEL_BYTES) {
      throw refusal(`the label ${name} has control characters, or is above 256 bytes`);
    }
  }
  return { ...labels };
}

function digestOf({ environment, input }: JobSecrets): string {
  const entries = Object.entries(environment).sort(([one], [other]) => one < other ? -1 : 1);
  if (entries.length === 0 && input.length === 0) return "";
  return createHash("sha256").update(JSON.stringify(entries)).update(input).digest("hex");
}

function refusal(problem: string): JobError {
  return new JobError("invalid", `Cannot start a job: ${problem}`);
}
