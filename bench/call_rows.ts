import type { Row } from "./benchmark.ts";
import { processMs } from "./measure.ts";
import type { SshHost } from "./ssh_host.ts";

/** What a call is measured beside. */
type Side = "ours" | "ssh" | "plain" | "piped" | "shared" | "empty";

/** How `ssh host true` and an empty program are run beside a call; how long each takes, in ms. */
export function callAlternatives(
  ssh: SshHost,
  floor: string,
): Readonly<Record<Exclude<Side, "ours">, () => Promise<number>>> {
  return {
    ssh: () => processMs("ssh", ssh.args("true")),
    plain: () => processMs("ssh", ssh.plainArgs("true")),
    piped: () => processMs("ssh", ssh.pipedArgs("true")),
    shared: () => processMs("ssh", ssh.sharedArgs("true")),
    empty: () => processMs(floor, []),
  };
}

/** The rows of a whole call, beside ssh's and beside an empty program; milliseconds. */
export function callRows(
  command: string,
  { ours, ssh, plain, piped, shared, empty }: Readonly<Record<Side, readonly number[]>>,
): Row[] {
  return [
    {
      what: `\`${command}\`, whole process, new connection`,
      unit: "ms",
      ours,
      alternative: { name: "`ssh host true`", values: ssh },
      target: { text: "no slower", isMet: (mine, other) => mine <= other },
    },
    {
      what: "the same, where ssh has a connection open already",
      unit: "ms",
      ours,
      alternative: { name: "`ssh host true`, multiplexed", values: shared },
      isInSummary: true,
    },
    {
      what: "the same, where ssh chooses key exchange and cipher itself",
      unit: "ms",
      ours,
      alternative: { name: "`ssh host true`, as installed", values: plain },
    },
    {
      what: "the same, where ssh has no network between",
      unit: "ms",
      ours,
      alternative: { name: "`ssh host true`, sshd at a pipe", values: piped },
    },
    {
      what: "the same beside the runtime's floor",
      unit: "ms",
      ours,
      alternative: { name: "an empty program", values: empty },
      target: { text: "at most 1.7 of the floor", isMet: (mine, other) => mine <= 1.7 * other },
    },
  ];
}
