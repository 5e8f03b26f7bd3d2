/** Changes the limits of a job that runs, by one script (lib/shim/update.sh). */
import { basename } from "node:path";
import type { LimitChanges } from "../cgroup.ts";
import type { Setting } from "../cgroup/types.ts";
import { JobError } from "../errors.ts";
import type { Limits } from "../limits.ts";
import { scripts } from "../shim/scripts.ts";
import { runScript, ScriptTimeoutError } from "../shim/shell.ts";
import { cpusProblem, withRoomNamed } from "./launch_report.ts";

/** The kernel rounds a memory limit down to whole pages, which have at most 64 KiB. */
const LARGEST_PAGE_BYTES = 64 * 1024;

/**
 * Sets limits of a job that runs: all, or none.
 *
 * @param limits What holds once all is written.
 * @param who Whom the script is for.
 * @returns The limits as the kernel has them.
 * @throws {JobError} As {@linkcode Executor.update} says.
 */
export async function updateLimits(
  changes: LimitChanges,
  { limits, who }: { readonly limits: Limits; readonly who: string },
): Promise<Limits> {
  const { settings, diskSettings, move } = changes;
  let printed: string;
  try {
    printed = await runScript(
      scripts.update,
      [
        linesOf(settings),
        linesOf(diskSettings),
        ...(move === undefined ? [] : [move.to, move.from]),
      ],
      { who },
    );
  } catch (error) {
    throw error instanceof ScriptTimeoutError
      ? unknown("the kernel has not taken its limits for half a minute")
      : withRoomNamed(error, "update");
  }
  return readUpdate(printed, limits);
}

function unknown(problem: string): JobError {
  return new JobError(
    "internal",
    `Cannot update the job: ${problem}, and which ones hold now is not known; repeat the update`,
  );
}

/**
 * Reads what lib/shim/update.sh prints.
 *
 * @param limits What was to be set.
 * @returns The same as the kernel has it.
 * @throws {JobError} The kernel has refused.
 */
export function readUpdate(printed: string, limits: Limits): Limits {
  if (/^kept /m.test(printed)) throw unknown("the kernel refused its limits, the former ones too");
  if (/^gone$/m.test(printed)) {
    throw new JobError("precondition", "Cannot update the job: it is ending");
  }
  const refused = /^refused (\S+) (.*)$/m.exec(printed);
  if (refused !== null) throw refusalOf(refused[1] ?? "", refused[2] ?? "");
  const { memoryBytes } = limits;
  const held = /^memory (\d+)$/m.exec(printed)?.[1];
  if (memoryBytes === undefined || held === undefined) return limits;
  const bytes = Number(held);
  if (bytes <= memoryBytes && bytes > memoryBytes - LARGEST_PAGE_BYTES) {
    return { ...limits, memoryBytes: bytes };
  }
  throw unknown(`the kernel has ${bytes} bytes of memory as its limit`);
}

function refusalOf(file: string, words: string): JobError {
  const used = / used (\d+)$/.exec(words)?.[1];
  if (used !== undefined) {
    return new JobError(
      "precondition",
      `Cannot update the job: it uses ${used} bytes of memory that cannot be freed, more than its limit ` +
        "would be; nothing was changed",
    );
  }
  const [, asked, all] = /^(\S*) has (\S+)$/.exec(words) ?? [];
  if (basename(file) === "cpuset.cpus" && asked !== undefined && all !== undefined) {
    return new JobError(
      "precondition",
      `Cannot update the job: ${cpusProblem(asked, all)}; nothing was changed`,
    );
  }
  return new JobError(
    "precondition",
    `Cannot update the job: the kernel refused ${basename(file)} = ${
      words.replace(/ (?=\D+$)/, ": ")
    }; nothing was changed`,
    { cause: new Error(`${file} ${words}`) },
  );
}

function linesOf(settings: readonly Setting[]): string {
  return settings.map(({ file, value, optional }) =>
    `${optional === true ? "?" : ""}${file} ${value}`
  ).join("\n");
}
