import config from "../../deno.json" with { type: "json" };
import { ExitStatus } from "../exit_status.ts";
import type { Verb } from "../command_line/verb.ts";

/** `version`: prints the versions of both sides. */
export const versionVerb: Verb = {
  name: "version",

  define(command) {
    command.summary("print the client's version and the server's");
    command.description(
      "Prints the client's version and the server's. --version prints the client's alone, without a connection.",
    );
    command.addHelpText(
      "after",
      `
Examples:
  worker-client version --server worker1:50051`,
    );
  },

  async run({ servers, terminal }) {
    const session = await servers.one();
    terminal.write(new TextEncoder().encode(`client ${config.version}\n`));
    const { version } = await session.call("Info", {});
    terminal.write(new TextEncoder().encode(`server ${version}\n`));
    return ExitStatus.ok;
  },
};
