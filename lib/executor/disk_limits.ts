/** Holds the disk limits of running jobs on disks that come after their start. */
import type { Setting } from "../cgroup/types.ts";
import { log } from "../log.ts";
import { scripts } from "../shim/scripts.ts";
import { runScript } from "../shim/shell.ts";

/** Settings that go into one script: Linux bounds its arguments to 2 MiB, and a setting has some 200 bytes. */
const MAX_SETTINGS = 5000;

/** Looks at the host's disks again and again. */
export class DiskLimits {
  /** The disks that the last look found, and the one before it. */
  #last = "";
  #secondLast = "";

  /**
   * Sets limits for the disks that are new since the look before the last one: a job that was just being
   * started at the last one is caught up with at this one.
   *
   * @param settings Of all running jobs.
   * @throws When the host has no room for a process.
   */
  async hold(settings: readonly Setting[]): Promise<void> {
    let disks = "";
    for (let from = 0; from < settings.length; from += MAX_SETTINGS) {
      const words = settings.slice(from, from + MAX_SETTINGS)
        .flatMap(({ file, value }) => [file, value]);
      const printed = await runScript(scripts.disks, [this.#secondLast, ...words]);
      // What comes between two calls is new for the first one of the next look.
      if (from === 0) disks = /^disks(.*)$/m.exec(printed)?.[1]?.trim() ?? "";
      for (const [, file, disk] of printed.matchAll(/^failed (.+) (\S+)$/gm)) {
        log.warn("the kernel refused a job's limit for a new disk", { file, disk });
      }
    }
    this.#secondLast = this.#last;
    this.#last = disks;
  }
}
