/** The fields of the form that starts a job: every one that a start can have, in its place. Pure. */
import type { SWITCHES, TextField } from "../protocol.ts";

/** Where a field stands. */
export type Place = "process" | "texts" | "limits" | "waiting" | "cluster";

/** A field of one line, or of several in `texts`. */
export interface FieldSpec {
  readonly place: Place;
  readonly label: string;
  readonly placeholder?: string;
}

/** All text fields, in their order. */
const FIELDS: Readonly<Record<TextField, FieldSpec>> = {
  name: { place: "process", label: "Name", placeholder: "can be used in place of the job's id" },
  cwd: { place: "process", label: "Directory", placeholder: "/" },
  user: { place: "process", label: "User" },
  umask: { place: "process", label: "File mode mask", placeholder: "022" },
  nice: { place: "process", label: "Nice", placeholder: "0; up to 19 gives way to others" },
  nofile: { place: "process", label: "Open files", placeholder: "the server's; 1024" },

  env: { place: "texts", label: "Environment, one NAME=VALUE a line" },
  labels: { place: "texts", label: "Labels, one KEY=VALUE a line" },
  stdin: { place: "texts", label: "Standard input" },

  timeout: { place: "limits", label: "Timeout", placeholder: "none; 30s, 10m, 2h" },
  cpu: { place: "limits", label: "CPU", placeholder: "the server's; 50%, 200%" },
  memory: { place: "limits", label: "Memory", placeholder: "the server's; 256M" },
  diskIo: { place: "limits", label: "Disk I/O", placeholder: "the server's; 10MB/s" },
  processes: { place: "limits", label: "Processes", placeholder: "the server's; 100" },
  grace: { place: "limits", label: "Grace period", placeholder: "the server's; 10s" },
  stopSignal: { place: "limits", label: "Stop signal", placeholder: "TERM" },

  queue: { place: "waiting", label: "Queue", placeholder: "none; a name of queues.txt" },
  begin: { place: "waiting", label: "Not before", placeholder: "at once; 14:30, +2h" },
  after: {
    place: "waiting",
    label: "After jobs",
    placeholder: "ids or names, which must succeed",
  },

  partition: { place: "cluster", label: "Partition", placeholder: "the cluster's own" },
  cpus: { place: "cluster", label: "Cores", placeholder: "as many as the CPU limit needs" },
  gpus: { place: "cluster", label: "GPUs", placeholder: "none; 2, a100:2" },
  account: { place: "cluster", label: "Account", placeholder: "your own" },
  qos: { place: "cluster", label: "Quality of service", placeholder: "the account's" },
  constraint: { place: "cluster", label: "Constraint", placeholder: "features of the node" },
};

/** The switches with their labels. */
export const SWITCH_LABELS: Readonly<Record<typeof SWITCHES[number], string>> = {
  privateTmp: "Private /tmp",
  noNetwork: "No network",
  ownProcesses: "Sees only its own processes",
  separateStderr: "Standard error apart",
};

/** What decides which fields a server takes. */
interface ServerKind {
  /** Empty: it runs jobs on its own host. */
  readonly engine: string;
  /** Whether jobs can wait there. */
  readonly jobsWait: boolean;
}

/** Whether a server takes a field; what it does not take is neither shown nor sent. */
export function isTaken(name: TextField, { engine, jobsWait }: ServerKind): boolean {
  const { place } = FIELDS[name];
  if (place === "cluster") return engine !== "";
  if (name === "queue") return engine === "" && jobsWait;
  return place !== "waiting" || engine !== "" || jobsWait;
}

/** The fields in a place, in their order. */
export function fieldsIn(place: Place): readonly (FieldSpec & { readonly name: TextField })[] {
  const order = Object.keys(FIELDS) as TextField[];
  return order.filter((name) => FIELDS[name].place === place)
    .map((name) => ({ name, ...FIELDS[name] }));
}
