/** What `worker-server doctor` finds of a cluster; it leaves nothing there. */
import { commandRunner, type RunCommand } from "../executor/slurm/commands.ts";
import { examineShare } from "../executor/slurm/share.ts";
import { examineSite, type SiteFinding } from "../executor/slurm/site.ts";
import { messageOf } from "../errors.ts";

/** Where the cluster is. */
export interface ClusterSettings {
  /** The folder on the shared file system. */
  readonly sharedFolder: string;
  /** slurm.conf; empty: Slurm's default. */
  readonly configurationFile: string;
  /** Whether each job runs as a user of its own. */
  readonly isForUsers: boolean;
  /** Newest bytes of output that are kept of each job; Infinity: all. */
  readonly maxOutputBytes: number;
  /** Processes and threads of each job; Infinity: no bound. */
  readonly maxProcesses: number;
}

/** Examines a cluster's configuration, and the shared folder. */
export async function examineCluster(
  settings: ClusterSettings,
  run: RunCommand = commandRunner(settings.configurationFile),
): Promise<SiteFinding[]> {
  return [...await siteFindings(settings, run), await shareFinding(settings)];
}

async function siteFindings(
  { maxProcesses, isForUsers }: ClusterSettings,
  run: RunCommand,
): Promise<SiteFinding[]> {
  try {
    const { site, findings } = await examineSite(run, { isForUsers });
    if (site.isRoot || !Number.isFinite(maxProcesses)) return [...findings];
    const text =
      "the process limit cannot be held, since jobs do not run as root there, and each start " +
      "would be refused: turn it off with --max-processes max";
    return [...findings, { state: "missing", subject: "process limit", text }];
  } catch (error) {
    return [{ state: "missing", subject: "Slurm", text: messageOf(error) }];
  }
}

async function shareFinding(
  { sharedFolder, maxOutputBytes }: ClusterSettings,
): Promise<SiteFinding> {
  const subject = "shared folder";
  try {
    const { canFreeHeads } = await examineShare(sharedFolder);
    const how = !Number.isFinite(maxOutputBytes)
      ? "is not bounded"
      : canFreeHeads
      ? "can be bounded"
      : "is bounded by several files, since the start of one cannot be freed";
    return { state: "ok", subject, text: `${sharedFolder} takes jobs; output ${how}` };
  } catch (error) {
    return { state: "missing", subject, text: messageOf(error) };
  }
}
