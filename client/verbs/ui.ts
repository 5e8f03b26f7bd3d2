import { parseCount } from "../../common/quantities.ts";
import { ExitStatus } from "../exit_status.ts";
import { parsedOption } from "../command_line/options.ts";
import type { Verb } from "../command_line/verb.ts";

interface UiOptions {
  readonly port?: number;
}

/** Port numbers have 16 bits. */
const LAST_PORT = 65_535;

/** `ui`: serves a web page about the jobs on this machine. */
export const uiVerb: Verb = {
  name: "ui",

  define(command) {
    command.summary("show the jobs in a browser on this machine");
    command.description(
      "Serves a web page on this machine that shows, starts and stops jobs with your identity, and " +
        "prints its address. Ctrl-C ends it.",
    );
    command.addOption(
      parsedOption("--port <n>", "the port on the loopback interface (default: a free one)", {
        parse: parsePort,
      }),
    );
    command.addHelpText(
      "after",
      `
Open the printed address in a browser (this program starts no other programs).
The address contains a secret that is new each time; a process on this machine
that knows it can act as you. The page is served on the loopback interface only.
From another machine forward the same port: ssh -L 8080:127.0.0.1:8080 HOST

Examples:
  worker-client ui
  worker-client ui --port 8080 --server worker1:50051 -i alice.pem`,
    );
  },

  async run({ servers, terminal }, command) {
    const session = await servers.one();
    const { port = 0 } = command.opts<UiOptions>();
    // An invalid address or identity is better reported here than in the browser.
    await session.call("Info", {});
    // No other verb needs it.
    const { openPage } = await import("../ui/server.ts");
    const { promise: left, resolve: leave } = Promise.withResolvers<void>();
    const release = terminal.onInterrupt(leave);
    try {
      using page = openPage(session, { port, note: (text) => terminal.note(text) });
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
  throw new RangeError(`Expected a port number, at most ${LAST_PORT}.`);
}
