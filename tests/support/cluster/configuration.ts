/** The configuration files of a Slurm cluster of tests. Pure. Parameters: slurm.conf(5), cgroup.conf(5). */

/** Where the parts of a cluster are. */
export interface Site {
  /** The folder of all its files. */
  readonly folder: string;
  /** The host that the controller runs on, by its short name. */
  readonly host: string;
  /** The first three bytes of its network, such as 10.77.20; the controller is number 1 in it. */
  readonly network: string;
  /** The controller's port; the nodes' is the next one. */
  readonly port: number;
  readonly nodes: readonly string[];
  /** Parameters of slurm.conf beside the usual ones, or in their place. */
  readonly parameters: Readonly<Record<string, string>>;
}

/** What each node is said to have; nothing checks it (config_overrides). */
const NODE_CPUS = 4;
const NODE_MEMORY_MIB = 2000;

/** A node's address: by its place in the list, from 0. */
export function addressOf({ network }: Pick<Site, "network">, index: number): string {
  return `${network}.${11 + index}`;
}

/** The text of slurm.conf. */
export function slurmConf(site: Site): string {
  const { folder, host, network, port, nodes } = site;
  const { NodeCPUs = String(NODE_CPUS), ...parameters } = site.parameters;
  const settings: Record<string, string> = {
    ClusterName: "jw",
    SlurmctldHost: `${host}(${network}.1)`,
    SlurmctldPort: String(port),
    SlurmdPort: String(port + 1),
    SlurmUser: "root",
    AuthInfo: `socket=${folder}/munge/socket`,
    StateSaveLocation: `${folder}/state`,
    SlurmdSpoolDir: `${folder}/spool/%n`,
    SlurmctldPidFile: `${folder}/run/slurmctld.pid`,
    SlurmdPidFile: `${folder}/run/slurmd.%n.pid`,
    SlurmctldLogFile: `${folder}/log/slurmctld.log`,
    SlurmdLogFile: `${folder}/log/slurmd.%n.log`,
    MailProg: "/bin/true",
    MpiDefault: "none",
    // The nodes pretend to have more processors than this host.
    SlurmdParameters: "config_overrides",
    ReturnToService: "2",
    // Else the controller lets jobs wait to schedule them together.
    SchedulerParameters: "batch_sched_delay=0,sched_min_interval=0",
    SelectType: "select/cons_tres",
    SelectTypeParameters: "CR_CPU_Memory",
    // Without it a job is given a whole node.
    DefMemPerCPU: "10",
    AccountingStorageType: "accounting_storage/none",
    ProctrackType: "proctrack/cgroup",
    TaskPlugin: "task/cgroup",
    JobAcctGatherType: "jobacct_gather/cgroup",
    SlurmdTimeout: "10",
    MessageTimeout: "5",
    KillWait: "5",
    BatchStartTimeout: "120",
    MaxJobCount: "50000",
    ...parameters,
  };
  return [
    ...Object.entries(settings).map(([name, value]) => `${name}=${value}`),
    ...nodes.map((node, index) =>
      `NodeName=${node} NodeAddr=${addressOf(site, index)} CPUs=${NodeCPUs} ` +
      `RealMemory=${NODE_MEMORY_MIB}`
    ),
    "PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP",
    "",
  ].join("\n");
}

/** The text of cgroup.conf. */
export const CGROUP_CONF = "CgroupPlugin=cgroup/v1\nConstrainRAMSpace=yes\n";
