/**
 * Runs a list of commands on several job workers, a few at a time: builds, backups, reports.
 *
 * Usage: fan_out.ts [--server HOST:PORT]... [--identity FILE] [--parallel N] [--keep-going] FILE
 *
 * FILE has one command a line, which is passed to `sh -c`; empty lines and lines that begin with `#`
 * are skipped. The output of a command is printed line by line after its number. Ctrl-C stops all
 * running commands. The exit status is 0 when all commands have exited with 0, otherwise 1.
 *
 * From a clone of the repository, after `deno task prepare`:
 *
 *     deno run --allow-net --allow-read --allow-env examples/fan_out.ts --parallel 4 commands.txt
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { Gap, JobWorkerClient, JobWorkerError } from "../client/mod.ts";

/** The settings from the command line. */
interface Settings {
  readonly servers: readonly (string | undefined)[];
  readonly identity: string | undefined;
  readonly parallel: number;
  readonly keepsGoing: boolean;
  readonly commands: readonly string[];
}

function readSettings(args: string[]): Settings {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      server: { type: "string", multiple: true },
      identity: { type: "string", short: "i" },
      parallel: { type: "string", default: "2" },
      "keep-going": { type: "boolean", default: false },
    },
  });
  const [file, ...more] = positionals;
  if (file === undefined || more.length > 0) throw new Error("Name one file with commands.");
  const parallel = Number(values.parallel);
  if (!Number.isSafeInteger(parallel) || parallel < 1) {
    throw new Error(
      `--parallel ${values.parallel} is not valid: expected a whole number, 1 or more.`,
    );
  }
  const lines = Deno.readTextFileSync(file).split("\n").map((line) => line.trim());
  return {
    // Without --server: the server that the environment or a context names.
    servers: values.server ?? [undefined],
    identity: values.identity,
    parallel,
    keepsGoing: values["keep-going"],
    commands: lines.filter((line) => line !== "" && !line.startsWith("#")),
  };
}

/** Runs one command, prints its lines after its number, and returns whether it exited with 0. */
async function runOne(
  client: JobWorkerClient,
  { command, number, signal }: { command: string; number: number; signal: AbortSignal },
): Promise<boolean> {
  const label = `[${number}]`;
  let jobID = "";
  try {
    // Without the signal: a start that is cancelled may leave a job that is not known here.
    jobID = await client.start(["sh", "-c", command], { labels: { program: "fan-out" } });
    console.error(`${label} ${command} (job ${jobID} on ${client.server})`);
    for await (const line of client.lines(jobID, { signal })) {
      console.log(
        `${label} ${line instanceof Gap ? `… ${line.length} bytes are missing` : line}`,
      );
    }
    const { exitCode, state } = await client.wait(jobID, { signal });
    if (exitCode !== 0) console.error(`${label} failed: ${exitCode ?? state}`);
    return exitCode === 0;
  } catch (error) {
    if (signal.aborted && jobID !== "") await stop(client, jobID, label);
    else if (!signal.aborted) console.error(`${label} ${describe(error)}`);
    return false;
  }
}

async function stop(client: JobWorkerClient, jobID: string, label: string): Promise<void> {
  try {
    await client.stop(jobID);
    console.error(`${label} stopped`);
  } catch (error) {
    // It may have ended meanwhile.
    const hasEnded = error instanceof JobWorkerError && error.code === "FAILED_PRECONDITION";
    if (!hasEnded) console.error(`${label} ${describe(error)}`);
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Runs all commands, and returns whether all have exited with 0. */
async function fanOut(settings: Settings, interrupt: AbortController): Promise<boolean> {
  const { servers, identity, commands, parallel, keepsGoing } = settings;
  const clients = servers.map((server) => JobWorkerClient.fromEnvironment({ server, identity }));
  try {
    const { signal } = interrupt;
    let next = 0;
    let succeeded = 0;
    // Each worker takes the next command when it has finished one.
    const workers = Array.from({ length: parallel }, async (_, worker) => {
      const client = clients[worker % clients.length];
      while (client !== undefined && next < commands.length && !signal.aborted) {
        const number = next++;
        const command = commands[number] ?? "";
        if (await runOne(client, { command, number: number + 1, signal })) succeeded++;
        else if (!keepsGoing) interrupt.abort(new Error("a command has failed"));
      }
    });
    await Promise.all(workers);
    console.error(`${succeeded} of ${commands.length} commands succeeded`);
    return succeeded === commands.length;
  } finally {
    for (const client of clients) client.close();
  }
}

const interrupt = new AbortController();
const onInterrupt = () => interrupt.abort(new Error("interrupted"));
for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, onInterrupt);
try {
  process.exitCode = await fanOut(readSettings(Deno.args), interrupt) ? 0 : 1;
} catch (error) {
  console.error(describe(error));
  process.exitCode = 2;
} finally {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.removeSignalListener(signal, onInterrupt);
  }
}
