/** What a launcher reports on its standard output, and why a launch fails. */
import { basename } from "node:path";
import {
  DISK_REFUSES,
  isDiskFull,
  isDiskRefusing,
  JobError,
  messageOf,
  NO_SPACE,
  quoted,
} from "../errors.ts";

/** Characters of a program's name that an error repeats. */
const MAX_SHOWN_NAME = 200;

/** A launcher's report. */
export type LaunchReport =
  | { kind: "started"; pid: number }
  | { kind: "refused"; error: JobError };

/**
 * Parses a launcher's report. Any other text is a defect, or a launcher that was killed.
 *
 * @param programError What was found about the program, and holds where the launcher says so.
 */
export function parseLaunchReport(
  text: string,
  commandName: string,
  programError?: JobError,
): LaunchReport {
  const pid = /^started (\d+)\n/m.exec(text)?.[1];
  if (pid !== undefined) return { kind: "started", pid: Number(pid) };
  const [kind = "", ...details] = [...text.matchAll(/^refused (.*)$/gm)].map((match) =>
    (match[1] ?? "").replace(/\p{Cc}/gu, " ")
  );
  if (kind === "program" && programError !== undefined) {
    return { kind: "refused", error: programError };
  }
  return { kind: "refused", error: refusal(kind, commandName, details) };
}

function refusal(kind: string, commandName: string, details: readonly string[]): JobError {
  const name = quoted(commandName, MAX_SHOWN_NAME);
  switch (kind) {
    case "not-found":
      return new JobError(
        "invalid",
        `Cannot start ${name}: no such program on the server, or its user may not see it; give its full path, or a name in its PATH`,
      );
    case "not-executable":
      return new JobError(
        "invalid",
        `Cannot start ${name}: the file is not executable for the job's user`,
      );
    case "folder":
      return new JobError("invalid", `Cannot start ${name}: it is a folder`);
    case "working-directory":
      return new JobError(
        "invalid",
        "Cannot start the job: its working directory is not a folder on the server, or its user may not enter it",
      );
    case "user":
      return new JobError(
        "invalid",
        `Cannot start the job: the server's host has no user ${quoted(details[0] ?? "")}`,
      );
    case "group":
      return new JobError(
        "invalid",
        `Cannot start the job: the server's host has no group ${quoted(details[0] ?? "")}`,
      );
    case "check":
      return new JobError(
        "precondition",
        "Cannot start the job: the server's host could not run a program as the job's user",
        { cause: new Error(`status ${details[0]}`) },
      );
    case "check-timeout":
      return new JobError(
        "precondition",
        `Cannot start the job: to look for its program as its user took above ${details[0]} s`,
      );
    case "open-files":
      return new JobError(
        "precondition",
        `Cannot start the job: its limit of ${
          details[0]
        } open files is above the hard limit of the server, ` +
          `${details[1]} (LimitNOFILE= of its unit)`,
      );
    case "missing":
      return new JobError(
        "precondition",
        `Cannot start the job: the server's host lacks the program ${details[0] ?? ""}`,
      );
    case "isolation":
      return new JobError(
        "precondition",
        `Cannot start the job: the server's host cannot isolate it: ${details.join(" ")}`,
      );
    case "input":
      return new JobError(
        "precondition",
        `Cannot start the job: the server's host could not make a pipe for its input: ${
          details.join(" ")
        }`,
      );
    case "launch-record":
      return recordRefusal(details[0] ?? "");
    // The following are refusals of a cluster's node (lib/shim/batch.sh).
    case "step":
      return new JobError(
        "precondition",
        "Cannot start the job: its node does not keep the processes of a job together; the site has to set ProctrackType=proctrack/cgroup",
      );
    case "controller":
      return new JobError(
        "precondition",
        `Cannot start the job: its node cannot hold one of its limits (no ${
          details[0]
        } controller); enable it there, or set that limit to "max"`,
      );
    case "file":
      return new JobError(
        "precondition",
        "Cannot start the job: what it was given (environment, standard input) did not come to its node; look whether the shared file system is mounted there",
      );
    case "stopped":
      return new JobError("precondition", "The job was stopped before its command began");
    case "launcher":
      return new JobError(
        "precondition",
        "Cannot start the job: its launcher was killed before the command began",
        { cause: new Error(`status ${details[0]}`) },
      );
    case "cpus": {
      const [, asked = "", all = ""] = details;
      return new JobError("precondition", `Cannot start the job: ${cpusProblem(asked, all)}`);
    }
    case "limit": {
      const [file = "", value = "", reason = ""] = details;
      return new JobError(
        "precondition",
        `Cannot start the job: the kernel refused ${basename(file)} = ${value}: ${reason}`,
        { cause: new Error(details.join(" ")) },
      );
    }
    default:
      return new JobError("internal", "Cannot start the job: its launcher failed", {
        cause: new Error(JSON.stringify([kind, ...details])),
      });
  }
}

/** What is wrong with a list of CPUs that the kernel has refused. */
export function cpusProblem(asked: string, all: string): string {
  return `of its allowed CPUs ${asked} the server's host has not all: it gives jobs ${all}`;
}

/** Why the launch record could not be made: the folder was there a moment before. */
function recordRefusal(reason: string): JobError {
  const error = new Error(reason);
  if (isDiskFull(error)) return new JobError("exhausted", NO_SPACE);
  if (isDiskRefusing(error)) {
    return new JobError("precondition", `Cannot start the job. ${DISK_REFUSES}`);
  }
  // As bash and dash say it.
  if (/No such file|Directory nonexistent/.test(reason)) {
    return new JobError(
      "precondition",
      "Cannot start the job: its folder in the server's log directory was removed meanwhile; keep what " +
        "cleans up on the server's host (tmpfiles.d, say) away from there, and start it again",
    );
  }
  return new JobError(
    "precondition",
    `Cannot start the job: the server's log directory refuses a file: ${
      reason || "no reason given"
    }`,
  );
}

/**
 * Explains why no launcher could be spawned.
 *
 * @returns A {@linkcode JobError} where the cause is known, else the error itself.
 */
export function toLaunchError(error: unknown): unknown {
  if (error instanceof JobError) return error;
  if (codeOf(error) === "E2BIG" || /\(os error 7\)/.test(messageOf(error))) {
    return new JobError("invalid", "Cannot start the job: its arguments are too long for Linux");
  }
  return withRoomNamed(error, "start");
}

/**
 * Explains why no process could be spawned for a job.
 *
 * @returns A {@linkcode JobError} where the host has no room for one, else the error itself.
 */
export function withRoomNamed(error: unknown, verb: "start" | "signal" | "update"): unknown {
  const code = codeOf(error);
  if (code === "EAGAIN" || code === "ENOMEM" || /\(os error (?:11|12)\)/.test(messageOf(error))) {
    return new JobError("exhausted", `Cannot ${verb} the job: the host has no room for a process`);
  }
  return error;
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown }).code;
}
