/** The disks of this host, by the names that starts give them. */
import { JobError } from "../errors.ts";
import type { LimitPurpose } from "../limits.ts";
import { scripts } from "../shim/scripts.ts";
import { runScript } from "../shim/shell.ts";

/** See {@linkcode Executor.numbersOf}. */
export async function numbersOf(
  disks: readonly string[],
  purpose: LimitPurpose,
): Promise<string[]> {
  return readDisks(await runScript(scripts.disk, disks, { who: "disks" }), { disks, purpose });
}

/**
 * Reads what lib/shim/disk.sh prints, a line for each name.
 *
 * @throws {JobError} "invalid" for one that is no whole disk.
 */
export function readDisks(
  printed: string,
  { disks, purpose }: { readonly disks: readonly string[]; readonly purpose: LimitPurpose },
): string[] {
  const lines = printed.split("\n");
  return disks.map((disk, index) => {
    const [kind, text = ""] = lines[index]?.split(" ") ?? [];
    if (kind === "disk" && /^\d+:\d+$/.test(text)) return text;
    throw new JobError("invalid", `Cannot ${purpose}: ${disk} ${problemOf(kind, text)}`);
  });
}

function problemOf(kind: string | undefined, text: string): string {
  switch (kind) {
    case "partition":
      return `is a partition, and the kernel limits whole disks: name /dev/${text}`;
    case "unheld":
      return "has no medium, or is in memory: no limit holds there";
    default:
      return "is no disk of the server's host";
  }
}
