/**
 * A fake of control groups: plain folders and files under the names that cgroupfs has, so that the
 * worker's real scripts run without root. The kernel is missing: writing a process id to
 * `cgroup.procs` moves no process, and `cgroup.events` says what the test has written there.
 */
import { join } from "node:path";
import type { Placement } from "../../lib/cgroup/types.ts";

/** A temporary folder with fake control groups and jobs' folders in it. */
export class FakeGroups implements AsyncDisposable {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async make(): Promise<FakeGroups> {
    return new FakeGroups(await Deno.makeTempDir({ prefix: "job-worker-groups-" }));
  }

  /** The absolute path of something in the folder. */
  path(...names: string[]): string {
    return join(this.folder, ...names);
  }

  /** Makes a group with these files in it. */
  async group(name: string, files: Readonly<Record<string, string>> = {}): Promise<string> {
    const group = this.path(name);
    await Deno.mkdir(group, { recursive: true });
    for (const [file, text] of Object.entries(files)) {
      await Deno.writeTextFile(join(group, file), text);
    }
    return group;
  }

  /**
   * Makes a group for one job. It is removed like a real one (empty); its populated file stands
   * outside of it, since rmdir(2) removes the kernel's files with a group, and real files hold it.
   */
  async place(name: string, options: { populated: boolean }): Promise<Placement> {
    const group = await this.group(name);
    const events = await this.group(`${name}-events`);
    const placement: Placement = {
      groups: [group],
      tracker: group,
      populatedFile: join(events, "cgroup.events"),
      counters: [],
    };
    await this.setPopulated(placement, options.populated);
    return placement;
  }

  /** Says whether a process is left in the group, as the kernel would: it cannot be removed then. */
  async setPopulated(
    { populatedFile, tracker }: Placement,
    isPopulated: boolean,
  ): Promise<void> {
    await Deno.writeTextFile(populatedFile, `populated ${isPopulated ? 1 : 0}\nfrozen 0\n`);
    const process = join(tracker, "process");
    if (isPopulated) await Deno.writeTextFile(process, "");
    else await Deno.remove(process).catch(() => {}); // There was none, or the group is gone.
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.folder, { recursive: true });
  }
}
