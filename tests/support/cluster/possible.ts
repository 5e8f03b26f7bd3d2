/** Whether a Slurm cluster can be made on this host. */
import { isInstalled } from "../../../tools/installed.ts";

/** Programs of the cluster, and the packages that they come with. */
const PROGRAMS: Readonly<Record<string, string>> = {
  slurmctld: "slurmctld",
  slurmd: "slurmd",
  sbatch: "slurm-client",
  munged: "munge",
  bindfs: "bindfs",
  ip: "iproute2",
};

/** Why no cluster can be made here; undefined where one can. */
export async function whyNoOwnCluster(): Promise<string | undefined> {
  if (Deno.uid() !== 0) return "a cluster needs root";
  for (const [program, name] of Object.entries(PROGRAMS)) {
    if (!await isInstalled(program, ["/usr/sbin", "/sbin"])) {
      return `needs ${program}: apt-get install ${name}`;
    }
  }
  if (!await isInstalled("/sys/fs/cgroup/freezer")) return "a cluster was tried on cgroup v1 only";
  return undefined;
}
