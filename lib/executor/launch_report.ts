/** What the launcher says on its standard output, understood. */
import { basename } from "node:path";
import { JobError, NO_SPACE, quoted } from "../errors.ts";

/** Characters of a program's name that an error repeats. */
const MAX_SHOWN_NAME = 200;

/** The launcher's word. */
export type LaunchReport =
  | { kind: "started"; pid: number }
  | { kind: "refused"; error: JobError };

/** Parses the launcher's report; what is not one is a defect, or a launcher that was killed. */
export function parseLaunchReport(text: string, commandName: string): LaunchReport {
  const pid = /^started (\d+)\n/m.exec(text)?.[1];
  if (pid !== undefined) return { kind: "started", pid: Number(pid) };
  const [kind = "", ...details] = [...text.matchAll(/^refused (.*)$/gm)].map((match) =>
    (match[1] ?? "").replace(/\p{Cc}/gu, " ")
  );
  return { kind: "refused", error: refusal(kind, commandName, details) };
}

function refusal(kind: string, commandName: string, details: readonly string[]): JobError {
  const name = quoted(commandName, MAX_SHOWN_NAME);
  switch (kind) {
    case "not-found":
      return new JobError(
        "invalid",
        `Cannot start ${name}: no such program on the server; give its full path, or a name in its PATH`,
      );
    case "not-executable":
      return new JobError("invalid", `Cannot start ${name}: the file is not executable`);
    case "folder":
      return new JobError("invalid", `Cannot start ${name}: it is a folder`);
    case "working-directory":
      return new JobError(
        "invalid",
        "Cannot start the job: its working directory is no folder on the server, or not open to its user",
      );
    case "user":
      return new JobError(
        "invalid",
        `Cannot start the job: the server's host has no user ${quoted(details[0] ?? "")}`,
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
    case "no-space":
      return new JobError("exhausted", NO_SPACE);
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
