import { isOpen } from "../../common/file_modes.ts";
import { DAY_MS } from "../../common/units.ts";
import type { InfoResponse__Output } from "../../proto/contract.ts";
import config from "../../deno.json" with { type: "json" };
import { ExitStatus } from "../exit_status.ts";
import type { Verb } from "../command_line/verb.ts";

/** A certificate is not valid before a certain time, so clocks must not differ by more than this. */
const MAX_SKEW_MS = 60_000;

/** How many days before a certificate expires the warning starts. */
const SOON_DAYS = 30;

/** `doctor`: checks the identity and the server, and prints the user's name and roles there. */
export const doctorVerb: Verb = {
  name: "doctor",

  define(command) {
    command.summary("check the identity, the connection and the server");
    command.description(
      "Checks the identity, the connection and the server, and prints your name and roles there. " +
        "Exits with 0 when everything works; a warning is not a failure.",
    );
    command.addHelpText(
      "after",
      `
Examples:
  worker-client doctor
  worker-client doctor --server worker1:50051 -i alice.pem`,
    );
  },

  async run({ servers, terminal }) {
    const session = await servers.one();
    const print = (state: "ok" | "warning", subject: string, text: string) =>
      terminal.write(
        new TextEncoder().encode(`${state.padEnd(7)}  ${subject.padEnd(11)}  ${text}\n`),
      );
    const { holder, expiresAtMs, keyFile } = session.identity;
    const daysLeft = Math.floor((expiresAtMs - Date.now()) / DAY_MS);
    print(
      daysLeft < SOON_DAYS ? "warning" : "ok",
      "identity",
      `${holder}, valid for ${daysLeft} more days` +
        (daysLeft < SOON_DAYS ? ": request a new one" : ""),
    );
    if (isOpen(await Deno.stat(keyFile))) {
      print("warning", "key", `other users may read ${keyFile}: run chmod 600 ${keyFile}`);
    }
    const askedAtMs = Date.now();
    const info = await session.call("Info", {});
    const tookMs = Date.now() - askedAtMs;
    print("ok", "server", `${session.server}, version ${info.version}, answered in ${tookMs} ms`);
    if (info.version !== config.version) {
      print(
        "warning",
        "versions",
        `this client is ${config.version}: install the server's version`,
      );
    }
    const roles = info.yourRoles.join(" and ");
    print("ok", "you", `${info.yourName}, ${roles}`);
    const skewMs = info.timeMs - (askedAtMs + tookMs / 2);
    const isSkewed = Math.abs(skewMs) > MAX_SKEW_MS;
    print(
      isSkewed ? "warning" : "ok",
      "clocks",
      isSkewed
        ? `differ by ${
          Math.round(Math.abs(skewMs) / 1000)
        } s: correct them, certificates depend on the time`
        : "agree",
    );
    print(
      "ok",
      "jobs",
      `${info.runningJobs} running; the default user is ${info.jobUser}`,
    );
    if (info.engine !== "") {
      const partitions = info.partitions.length === 0 ? "" : `: ${info.partitions.join(", ")}`;
      print("ok", "cluster", `${info.engine}${partitions}`);
    }
    for (const queue of info.queues) print("ok", "queue", queue);
    const { areHeld, text } = info.engine === "" ? limitsOfHost(info) : limitsOfCluster(info);
    print(areHeld ? "ok" : "warning", "limits", text);
    return ExitStatus.ok;
  },
};

/** Which limits hold for jobs, in words. */
interface HeldLimits {
  /** Whether all of them do. */
  readonly areHeld: boolean;
  readonly text: string;
}

function limitsOfHost({ cgroup, controllers }: InfoResponse__Output): HeldLimits {
  const limits = controllers.filter((name) => name !== "cpuacct").join(", ");
  const lacks = ["cpu", "memory", "io", "pids"].filter((name) => !controllers.includes(name));
  const areHeld = lacks.length === 0;
  const missing = areHeld ? "" : `; missing: ${lacks.join(", ")}`;
  return { areHeld, text: `cgroup ${cgroup}: ${limits}${missing}` };
}

function limitsOfCluster({ limitsNotHeld }: InfoResponse__Output): HeldLimits {
  const areHeld = limitsNotHeld.length === 0;
  return { areHeld, text: areHeld ? "all are held" : `not held: ${limitsNotHeld.join("; ")}` };
}
