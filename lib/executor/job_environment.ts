/** What a job finds in its environment, and how it gets there. */
import { join } from "node:path";
import type { LaunchRequest } from "../executor.ts";
import { DEFAULT_SETTINGS } from "../model/settings.ts";
import { scripts } from "../shim/scripts.ts";
import { PROGRAM_PATH } from "../shim/shell.ts";
import { INPUT_FILE } from "./job_files.ts";

/** The environment of every job, independent of the server's. */
export const JOB_ENVIRONMENT = {
  PATH: PROGRAM_PATH,
  HOME: "/root",
  USER: "root",
  LOGNAME: "root",
  SHELL: "/bin/sh",
  LANG: "C.UTF-8",
};

/**
 * What lib/shim/enter.sh needs for a job with settings or secrets of its own; nothing for most jobs.
 * It goes by the launcher's environment, which other users cannot read, unlike arguments, and which
 * stays on no disk, unlike files. Input for the job goes to a file of its folder.
 *
 * @throws When the input cannot be written.
 */
export async function entryEnvironment(
  { settings, secrets, folder }: Pick<LaunchRequest, "settings" | "secrets" | "folder">,
): Promise<Record<string, string>> {
  const { user, workingDirectory, umask, isolation } = settings;
  const { environment, input } = secrets;
  const namespaces = [
    ...(isolation.privateTmp ? ["tmp"] : []),
    ...(isolation.noNetwork ? ["network"] : []),
    ...(isolation.ownProcesses ? ["processes"] : []),
  ];
  const isPlain = user === DEFAULT_SETTINGS.user && umask === DEFAULT_SETTINGS.umask &&
    workingDirectory === DEFAULT_SETTINGS.workingDirectory && namespaces.length === 0 &&
    Object.keys(environment).length === 0 && input.length === 0;
  if (isPlain) return {};
  if (input.length > 0) {
    await Deno.writeFile(join(folder, INPUT_FILE), input, { createNew: true, mode: 0o444 });
  }
  const variables = Object.entries(environment);
  return {
    ...Object.fromEntries(variables.map(([name, value]) => [`job_worker_env_${name}`, value])),
    job_worker_enter: scripts.enter,
    job_worker_names: variables.map(([name]) => name).join("\n"),
    job_worker_isolation: namespaces.join(" "),
    job_worker_user: user === DEFAULT_SETTINGS.user ? "" : user,
    job_worker_folder: workingDirectory,
    job_worker_umask: umask.toString(8).padStart(3, "0"),
    job_worker_input: input.length > 0 ? "yes" : "",
  };
}
