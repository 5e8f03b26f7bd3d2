/** `context`: keeps servers and identities under names. It makes no connections. */
import { Argument, type Command, Option } from "commander";
import { isAbsolute, join } from "node:path";
import { DEFAULT_SERVER, parseAddress } from "../endpoint/address.ts";
import {
  checkName,
  type Config,
  configPath,
  contextOf,
  readConfig,
  writeConfig,
} from "../endpoint/config_file.ts";
import { folderVariables } from "../endpoint/config_folder.ts";
import { ClientError } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import { loadIdentity } from "../endpoint/identity.ts";
import type { ServerOptions } from "../endpoint/choose_endpoint.ts";
import { addEndpointOptions } from "../command_line/options.ts";
import { formatRows } from "../screen/table.ts";
import type { Terminal } from "../terminal.ts";

/** Adds the command, with one command below it for each thing to do. */
export function addContextCommand(program: Command, terminal: Terminal): Command {
  const command = program.command("context");
  command.summary("keep servers and identities under names, and choose among them");
  command.description(
    "Keeps servers and identities under names in ~/.config/job-worker/config.json. The current " +
      "context applies to every verb; --context chooses another one for one call.",
  );
  command.addHelpText(
    "after",
    `
Examples:
  worker-client context add prod --server worker1:50051 --identity alice.pem
  worker-client context use prod
  worker-client --context staging list
  worker-client context list`,
  );
  addAdd(command, terminal);
  addUse(command, terminal);
  addList(command, terminal);
  addRemove(command, terminal);
  return command;
}

interface AddOptions extends ServerOptions {
  readonly use?: true;
}

function addAdd(parent: Command, terminal: Terminal): void {
  const command = parent.command("add");
  command.summary("add a context, or change it");
  command.description(
    "Adds a context, or changes one: what is not named stays as it is. The identity is checked; its " +
      "files stay where they are.",
  );
  command.addArgument(new Argument("<name>", "the name of the context"));
  command.addOption(new Option("--use", "make it the current context; the first one is anyway"));
  addEndpointOptions(command);
  command.addHelpText(
    "after",
    `
Examples:
  worker-client context add prod --server worker1:50051 --identity alice.pem
  worker-client context add lab --server lab:50051 --ca ca.crt --cert a.crt --key a.key --use`,
  );
  command.action((name: string) => {
    checkName(name);
    const { use, server: address, ...rest } = command.optsWithGlobals<AddOptions>();
    const named = absoluteFiles(rest);
    const namesFiles = Object.keys(named).length > 0;
    if (namesFiles) {
      loadIdentity({ flags: named, environment: () => undefined, nowMs: Date.now() });
    }
    change(terminal, ({ current, contexts }) => {
      const { server: earlier = DEFAULT_SERVER, ...files } = Object.hasOwn(contexts, name)
        ? contexts[name] ?? {}
        : {};
      const server = address === undefined ? earlier : parseAddress(address).text;
      return {
        current: use || current === undefined ? name : current,
        contexts: { ...contexts, [name]: { server, ...(namesFiles ? named : files) } },
      };
    });
  });
}

function addUse(parent: Command, terminal: Terminal): void {
  const command = parent.command("use");
  command.summary("make a context the current one");
  command.description(
    "Makes a context the current one: it applies to every call that does not choose another.",
  );
  command.addArgument(new Argument("<name>", "the name of the context"));
  command.addHelpText("after", "\nExamples:\n  worker-client context use prod");
  command.action((name: string) => {
    change(terminal, (config) => {
      contextOf(config, name);
      return { ...config, current: name };
    });
  });
}

function addList(parent: Command, terminal: Terminal): void {
  const command = parent.command("list");
  command.alias("ls");
  command.summary("print the contexts");
  command.description("Prints the contexts; the current one is marked with a star.");
  command.addOption(new Option("-q, --quiet", "print names alone").conflicts("json"));
  command.addOption(new Option("--json", "one JSON object a line"));
  command.addHelpText("after", "\nExamples:\n  worker-client context list");
  command.action(async () => {
    const { current, contexts } = readConfig(configPath(terminal));
    const { json, quiet } = command.opts<{ json?: true; quiet?: true }>();
    const entries = Object.entries(contexts);
    const text = quiet
      ? entries.map(([name]) => `${name}\n`).join("")
      : json
      ? entries.map(([name, context]) =>
        `${JSON.stringify({ name, ...context, inUse: name === current })}\n`
      ).join("")
      : await formatRows([
        ["", "NAME", "SERVER", "IDENTITY"],
        ...entries.map(([name, context]) => [
          name === current ? "*" : "",
          name,
          context.server,
          context.identity ?? context.cert ?? "-",
        ]),
      ], terminal);
    terminal.write(new TextEncoder().encode(text));
  });
}

function addRemove(parent: Command, terminal: Terminal): void {
  const command = parent.command("remove");
  command.alias("rm");
  command.summary("delete a context");
  command.description("Deletes a context; the files of its identity stay.");
  command.addArgument(new Argument("<name>", "the name of the context"));
  command.addHelpText("after", "\nExamples:\n  worker-client context remove lab");
  command.action((name: string) => {
    change(terminal, (config) => {
      contextOf(config, name);
      const { [name]: _removed, ...contexts } = config.contexts;
      const { current } = config;
      return current === undefined || current === name ? { contexts } : { current, contexts };
    });
  });
}

function change(terminal: Terminal, edit: (config: Config) => Config): void {
  const path = configPath(terminal);
  if (path === undefined) {
    throw new ClientError(
      `Cannot find the config file: set ${folderVariables()}.`,
      ExitStatus.usage,
    );
  }
  writeConfig(path, edit(readConfig(path)));
}

/** The given files with absolute paths, so that they are found from every folder. */
function absoluteFiles(
  options: ServerOptions,
): Partial<Record<"identity" | "ca" | "cert" | "key", string>> {
  const names = ["identity", "ca", "cert", "key"] as const;
  return Object.fromEntries(
    names.flatMap((name) => {
      const file = options[name];
      return file === undefined ? [] : [[name, isAbsolute(file) ? file : join(Deno.cwd(), file)]];
    }),
  );
}
