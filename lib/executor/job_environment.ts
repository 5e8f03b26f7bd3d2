/** What a job finds in its environment, and how it gets there. */
import { join } from "node:path";
import type { SubmitRequest } from "../executor.ts";
import { InputFolder } from "../input/folder.ts";
import {
  DEFAULT_SETTINGS,
  type Isolation,
  type JobSecrets,
  type JobSettings,
} from "../model/settings.ts";
import { scripts } from "../shim/scripts.ts";
import { PROGRAM_PATH } from "../shim/shell.ts";
import { INPUT_FILE } from "./job_files.ts";
import type { Finding } from "./program_check.ts";

/** The environment of every job, independent of the server's. */
export const JOB_ENVIRONMENT = {
  PATH: PROGRAM_PATH,
  HOME: "/root",
  USER: "root",
  LOGNAME: "root",
  SHELL: "/bin/sh",
  LANG: "C.UTF-8",
};

/** The names that POSIX defines; a shell drops a variable with another one. */
const SHELL_VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Names that mean something to dash, bash or lib/shim/enter.sh, so that they cannot just be set there. */
const MEANT_FOR_SHELLS = new RegExp(
  `^(?:${
    [
      "_|ATTY|BASH.*|COMP_.*|COPROC|DIRSTACK|ENV|EPOCH.*|EUID|FUNCNAME|FUNCNEST|GROUPS|HIST.*|IFS",
      "IGNOREEOF|LINENO|MAIL.*|MAPFILE|OLDPWD|OPT.*|PIPESTATUS|POSIXLY_CORRECT|PPID|PS[0-9]|PWD",
      "RANDOM|READLINE_.*|REPLY|SECONDS|SHELLOPTS|SHLVL|SRANDOM|TIMEFORMAT|TMOUT|UID",
      "job_worker_.*",
    ].join("|")
  })$`,
);

/** Whether a shell can set a variable of this name, and for its children alone. */
function isForChildren(name: string): boolean {
  return SHELL_VARIABLE.test(name) && !MEANT_FOR_SHELLS.test(name);
}

/**
 * What lib/shim/enter.sh needs for a job with settings or secrets of its own; nothing for most jobs.
 * It goes by the launcher's environment, which other users cannot read, unlike arguments, and which
 * stays on no disk, unlike files. Input for the job goes to a file of its folder, or to a folder in it.
 *
 * @param finding About the program, where the launcher is to see whether it holds for the job's user.
 * @throws When the input cannot be written.
 */
export async function entryEnvironment(
  { settings, secrets, folder }: Pick<SubmitRequest, "settings" | "secrets" | "folder">,
  finding?: Pick<Finding, "file" | "unless">,
): Promise<Record<string, string>> {
  const { user, workingDirectory, umask, isolation, openFiles, queue } = settings;
  const { environment, input } = secrets;
  const isPlain = user === DEFAULT_SETTINGS.user && umask === DEFAULT_SETTINGS.umask &&
    workingDirectory === DEFAULT_SETTINGS.workingDirectory && namespacesOf(isolation) === "" &&
    Object.keys(environment).length === 0 && input.length === 0 && !settings.openStdin &&
    openFiles === undefined && (queue?.nice ?? 0) === 0;
  if (isPlain) return {};
  if (settings.openStdin) await new InputFolder(folder).make();
  if (input.length > 0) {
    await Deno.writeFile(join(folder, INPUT_FILE), input, { createNew: true, mode: 0o444 });
  }
  return {
    ...entryVariables(settings, secrets),
    job_worker_enter: scripts.enter,
    job_worker_program: finding?.file ?? "",
    job_worker_interpreter: finding?.unless ?? "",
    job_worker_user: user === DEFAULT_SETTINGS.user ? "" : user,
    job_worker_primary_group: settings.group ?? "",
    job_worker_input: settings.openStdin ? "stream" : input.length > 0 ? "file" : "",
    job_worker_priority: String(queue?.nice || ""),
    job_worker_open_files: String(openFiles ?? ""),
  };
}

/**
 * What lib/shim/enter.sh takes of a job's settings and secrets, but for its user and its input.
 * Variables that a shell cannot set become arguments of env(1), for the moment before it executes the
 * command.
 */
export function entryVariables(
  { workingDirectory, umask, isolation }: JobSettings,
  { environment }: JobSecrets,
): Record<string, string> {
  const variables = Object.entries(environment).filter(([name]) => isForChildren(name));
  const others = Object.entries(environment).filter(([name]) => !isForChildren(name));
  return {
    ...Object.fromEntries(variables.map(([name, value]) => [`job_worker_env_${name}`, value])),
    ...Object.fromEntries(
      others.map(([name, value], index) => [`job_worker_other_${index + 1}`, `${name}=${value}`]),
    ),
    job_worker_names: variables.map(([name]) => name).join("\n"),
    job_worker_others: String(others.length),
    job_worker_isolation: namespacesOf(isolation),
    job_worker_folder: workingDirectory,
    job_worker_umask: umask.toString(8).padStart(3, "0"),
  };
}

function namespacesOf({ privateTmp, noNetwork, ownProcesses }: Isolation): string {
  return [
    ...(privateTmp ? ["tmp"] : []),
    ...(noNetwork ? ["network"] : []),
    ...(ownProcesses ? ["processes"] : []),
  ].join(" ");
}
