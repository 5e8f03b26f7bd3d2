import { parseCount } from "../../common/quantities.ts";
import { ExitStatus } from "../exit_status.ts";
import { parsedOption } from "../command_line/options.ts";
import type { Verb } from "../command_line/verb.ts";

interface UiOptions {
  readonly port?: number;
}

/** Port numbers have 16 bits. */
const LAST_PORT = 65_535;

/** `ui`: serves a page about the jobs to this machine's browser. */
export const uiVerb: Verb = {
  name: "ui",

  define(command) {
    command.summary("show the jobs in a browser on this machine");
    command.description(
      "Serves a page on this machine that shows, starts and stops jobs with your identity, and " +
        "prints its address, until Ctrl-C is pressed.",
    );
    command.addOption(
      parsedOption("--port <n>", "the port of the loopback (default: a free one)", {
        parse: parsePort,
      }),
    );
    command.addHelpText(
      "after",
      `
This program runs no other programs, so it cannot open a browser: open the
address yourself. It holds a secret that is new each time; whoever on this
machine has it acts as you. Nothing listens beyond the loopback. From another
machine forward the same port: ssh -L 8080:127.0.0.1:8080 HOST

Examples:
  worker-client ui
  worker-client ui --port 8080 --server worker1:50051 -i alice.pem`,
    );
  },

  async run({ servers, terminal }, command) {
    const session = await servers.one();
    const { port = 0 } = command.opts<UiOptions>();
    // An address or an identity that is no good is better told here than in the browser.
    await session.call("Info", {});
    // No other verb needs it.
    const { openPage } = await import("../ui/server.ts");
    const { promise: left, resolve: leave } = Promise.withResolvers<void>();
    const release = terminal.onInterrupt(leave);
    try {
      await using page = openPage(session, { port, note: (text) => terminal.note(text) });
      terminal.write(new TextEncoder().encode(`${page.url}\n`));
      await left;
    } finally {
      release();
    }
    return ExitStatus.ok;
  },
};

function parsePort(text: string): number {
  const port = parseCount(text);
  if (port <= LAST_PORT) return port;
  throw new RangeError(`Expected a port, ${LAST_PORT} at most.`);
}
