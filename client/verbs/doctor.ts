import config from "../../deno.json" with { type: "json" };
import { ExitStatus } from "../exit_status.ts";
import type { Verb } from "../command_line/verb.ts";

/** Certificates are valid from a moment on: clocks that differ more than that make trouble. */
const MAX_SKEW_MS = 60_000;

const DAY_MS = 86_400_000;

/** A warning comes so long before a certificate's end. */
const SOON_DAYS = 30;

/** `doctor`: says whether all is well between here and the server, and who one is there. */
export const doctorVerb: Verb = {
  name: "doctor",

  define(command) {
    command.summary("check the identity, the way to the server and the server");
    command.description(
      "Checks the identity, the way to the server and the server, and says who one is to it. " +
        "Exits with 0 when all is well; warnings are no failure.",
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
    const say = (state: "ok" | "warning", subject: string, text: string) =>
      terminal.write(
        new TextEncoder().encode(`${state.padEnd(7)}  ${subject.padEnd(11)}  ${text}\n`),
      );
    const { holder, expiresAtMs } = session.identity;
    const daysLeft = Math.floor((expiresAtMs - Date.now()) / DAY_MS);
    say(
      daysLeft < SOON_DAYS ? "warning" : "ok",
      "identity",
      `${holder}, valid for ${daysLeft} more days` +
        (daysLeft < SOON_DAYS ? ": ask for a new one" : ""),
    );
    const askedAtMs = Date.now();
    const info = await session.call("Info", {});
    const tookMs = Date.now() - askedAtMs;
    say("ok", "server", `${session.server}, version ${info.version}, answered in ${tookMs} ms`);
    if (info.version !== config.version) {
      say("warning", "versions", `this client is ${config.version}: use the server's version`);
    }
    const roles = info.yourRoles.join(" and ");
    say("ok", "you", `${info.yourName}, ${roles}`);
    const skewMs = info.timeMs - (askedAtMs + tookMs / 2);
    const isSkewed = Math.abs(skewMs) > MAX_SKEW_MS;
    say(
      isSkewed ? "warning" : "ok",
      "clocks",
      isSkewed
        ? `differ by ${
          Math.round(Math.abs(skewMs) / 1000)
        } s: set them, certificates depend on them`
        : "agree",
    );
    say(
      "ok",
      "jobs",
      `${info.runningJobs} running, as ${info.jobUser} unless a start says another`,
    );
    const limits = info.controllers.filter((name) => name !== "cpuacct").join(", ");
    const lacks = ["cpu", "memory", "io", "pids"].filter((name) =>
      !info.controllers.includes(name)
    );
    say(
      lacks.length === 0 ? "ok" : "warning",
      "limits",
      `cgroup ${info.cgroup}: ${limits}` +
        (lacks.length === 0 ? "" : `; not ${lacks.join(", ")}`),
    );
    return ExitStatus.ok;
  },
};
