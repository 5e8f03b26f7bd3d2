/** What the tests before and after the guest's reboot tell each other, through the guest's disk. */

/** The log directory that both boots' servers use. */
export const REBOOT_LOG_DIR = "/var/log/job-worker/reboot";

const NOTES = "/var/lib/job-worker-notes.json";

/** Jobs of the first boot. */
export interface Notes {
  bootId: string;
  running: string;
  exited: string;
  failed: string;
  /** The process id of the job that ran. */
  runningPid: number;
}

/** The kernel's name for this boot. */
export async function currentBootId(): Promise<string> {
  return (await Deno.readTextFile("/proc/sys/kernel/random/boot_id")).trim();
}

/** Leaves notes for the next boot. */
export async function writeNotes(notes: Notes): Promise<void> {
  await Deno.writeTextFile(NOTES, JSON.stringify(notes));
}

/** Reads what the boot before left. */
export async function readNotes(): Promise<Notes> {
  return JSON.parse(await Deno.readTextFile(NOTES)) as Notes;
}
