/** What a cluster can do for a job, by its configuration. Pure. */
import { JobError } from "../../errors.ts";
import type { Capabilities, LimitName, LimitSupport } from "../../executor.ts";
import type { Limits } from "../../limits.ts";
import { requireNoHost } from "../../model/queue.ts";
import type { JobSettings } from "../../model/settings.ts";
import type { Site } from "./site.ts";

const MIB_BYTES = 1024 ** 2;

/** A node's launcher sets the limits, and nothing tells it of others later. */
const NO_UPDATES = {
  refused: "a cluster's job keeps the limits that it was started with; start it again with others",
};

/** What the executor does there. */
export function capabilitiesOf(site: Site, canFreeHeads: boolean): Capabilities {
  return {
    engine: `Slurm ${site.facts.version}`,
    queues: true,
    keepsTime: true,
    output: { news: "polling", bound: canFreeHeads ? "holes" : "segments" },
    limits: limitsOf(site),
    updates: NO_UPDATES,
    isolation: site.isRoot,
    openStdin: false,
    separateStderr: false,
    users: site.isForUsers,
    openFiles: {
      refused: "its nodes decide how many files a job may have open; leave --nofile out",
    },
    partitions: site.partitions,
  };
}

/** As root, the launcher makes control groups of the job's own; else there are only Slurm's. */
function limitsOf({ isRoot, facts }: Site): Record<LimitName, LimitSupport> {
  const allowedCpus = {
    refused: "a choice of CPUs cannot be held: Slurm chooses them; ask for a number with --cpus",
  };
  const disks = { refused: "limits of a named disk cannot be held: each node has its own disks" };
  if (isRoot) {
    return {
      allowedCpus,
      disks,
      cpuCores: "held",
      memoryBytes: "held",
      readBytesPerSecond: "held",
      writeBytesPerSecond: "held",
      processes: "held",
      memoryHighBytes: "held",
      readOperationsPerSecond: "held",
      writeOperationsPerSecond: "held",
    };
  }
  const refused = (what: string) => ({
    refused: `${what} cannot be held: jobs do not run as root, and Slurm has no such limit`,
  });
  const unset = (what: string, parameter: string) => ({
    refused:
      `${what} cannot be held: jobs do not run as root, and Slurm's is off (${parameter}=yes in ` +
      "cgroup.conf)",
  });
  return {
    allowedCpus,
    disks,
    cpuCores: facts.constrainsCores ? "mapped" : unset("a CPU limit", "ConstrainCores"),
    memoryBytes: facts.constrainsMemory ? "mapped" : unset("a memory limit", "ConstrainRAMSpace"),
    readBytesPerSecond: refused("a disk limit"),
    writeBytesPerSecond: refused("a disk limit"),
    processes: refused("a limit of processes (--max-processes)"),
    memoryHighBytes: refused("a high memory limit"),
    readOperationsPerSecond: refused("a disk limit"),
    writeOperationsPerSecond: refused("a disk limit"),
  };
}

/**
 * Checks what a start asks for.
 *
 * @throws {JobError} "precondition" for a limit that cannot be held there, for isolation, and for an open
 * standard input; "invalid" for another user, and for a host's queue.
 */
export function requirePossible(
  limits: Limits,
  { settings, site, capabilities }: {
    readonly settings: JobSettings;
    readonly site: Site;
    readonly capabilities: Capabilities;
  },
): void {
  requireNoHost(settings.queue);
  for (const [name, support] of Object.entries(capabilities.limits)) {
    if (limits[name as LimitName] === undefined || typeof support === "string") continue;
    throw refusal(support.refused);
  }
  const { cpuCores = 1, memoryBytes = Infinity } = limits;
  if (capabilities.limits.cpuCores === "mapped" && !Number.isInteger(cpuCores)) {
    throw refusal(
      `a CPU limit of ${cpuCores} cores cannot be held: jobs do not run as root, and Slurm gives ` +
        "whole cores",
    );
  }
  if (capabilities.limits.cpuCores === "mapped" && (settings.queue?.cpus ?? 0) > cpuCores) {
    if (limits.cpuCores !== undefined) {
      throw refusal(`${settings.queue?.cpus} cores are above the CPU limit of ${cpuCores}`);
    }
  }
  if (capabilities.limits.memoryBytes === "mapped" && memoryBytes < site.facts.leastMemoryBytes) {
    const least = Math.ceil(site.facts.leastMemoryBytes / MIB_BYTES);
    throw refusal(`a memory limit below ${least}M cannot be held: Slurm raises it (MinRAMSpace)`);
  }
  if (!site.isForUsers && settings.user !== site.user) {
    throw new JobError(
      "invalid",
      `Cannot start the job: jobs of this server run as ${site.user} on the cluster; leave --user out`,
    );
  }
  if (settings.group !== undefined) {
    throw new JobError(
      "invalid",
      "Cannot start the job: on a cluster a job has its user's own group; leave the group out of --user",
    );
  }
  if (settings.openStdin) {
    throw refusal(
      "a job on a cluster cannot be sent its input while it runs; send up to 2 MiB with the start " +
        "(--stdin), or let it read a file of the cluster",
    );
  }
  if (settings.openFiles !== undefined && capabilities.openFiles !== "possible") {
    throw refusal(capabilities.openFiles.refused);
  }
  if (!capabilities.separateStderr && settings.separateStderr === true) {
    throw refusal("a cluster's jobs write both outputs to one file; leave --separate-stderr out");
  }
  const { privateTmp, noNetwork, ownProcesses } = settings.isolation;
  if (!capabilities.isolation && (privateTmp || noNetwork || ownProcesses)) {
    throw refusal("it cannot be isolated, since jobs do not run as root on this cluster");
  }
}

/** The refusal of a change of limits. */
export function updateRefusal(): JobError {
  return new JobError("precondition", `Cannot update the job: ${NO_UPDATES.refused}`);
}

function refusal(problem: string): JobError {
  return new JobError("precondition", `Cannot start the job: ${problem}`);
}
