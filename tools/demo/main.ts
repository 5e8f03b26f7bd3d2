/**
 * Shows the main job with the real binaries: a throwaway CA, a server, and a client at work.
 *
 * Usage: deno task demo
 *
 * Everything it makes is gone when it ends, also by Ctrl-C; only build/ keeps the binaries.
 */
import { join, resolve } from "node:path";
import { DemoError, DemoHost } from "./host.ts";

const ROOT = resolve(import.meta.dirname ?? ".", "../..");
const BIN_DIR = join(ROOT, "build", "demo-bin");

/** How often it is looked whether the demo's callers are still there. */
const CALLER_INTERVAL_MS = 200;

const SIGNAL_STATUS = { SIGHUP: 129, SIGINT: 130, SIGPIPE: 141, SIGTERM: 143 } as const;
type EndingSignal = keyof typeof SIGNAL_STATUS;

const LIMITS = { cpu_limit: "50%", memory_limit: "256M", disk_io_limit: "10MB/s" };

const BUSY = 'time timeout 2 sh -c "while :; do :; done"';
const STEPS = 'for i in 1 2 3 4 5; do echo "step $i of 5"; sleep 0.7; done';
const ENDLESS = "while :; do date; sleep 1; done";

/** Ends the demo, from wherever it is. */
const ending = new AbortController();

/** Prints the story and runs its commands. */
class Story {
  readonly #folder: string;
  readonly #environment: Record<string, string> = {};

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** A sentence of explanation. */
  tell(text: string): void {
    print(`\n${emphasize(text)}`);
  }

  /** Shows a command that is not run as it stands. */
  show(command: string): void {
    print(`$ ${command}`);
  }

  /** Sets a variable for the commands that follow, as a shell would. */
  export(name: string, value: string): void {
    this.show(`export ${name}=${value}`);
    this.#environment[name] = value;
  }

  /** Runs one of the binaries, prints what it prints as it comes, and returns that. */
  async run(binary: string, ...args: string[]): Promise<string> {
    const { code, output } = await this.#run(binary, args);
    if (code !== 0) throw new DemoError(`${binary} failed with exit status ${code}`);
    return output;
  }

  /** Runs one of the binaries that is to be refused. */
  async runRefused(binary: string, ...args: string[]): Promise<void> {
    const { code } = await this.#run(binary, args);
    if (code === 0) throw new DemoError(`${binary} was to be refused, and was not`);
    print(`(exit status ${code})`);
  }

  async #run(binary: string, args: string[]): Promise<{ code: number; output: string }> {
    ending.signal.throwIfAborted();
    this.show([binary, ...args.map(quote)].join(" "));
    const child = new Deno.Command(join(BIN_DIR, binary), {
      args,
      cwd: this.#folder,
      env: this.#environment,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      signal: ending.signal,
    }).spawn();
    // Errors are a part of the story: they stand where they were said, wherever it is printed.
    const [output] = await Promise.all([passOn(child.stdout), passOn(child.stderr)]);
    const { code } = await child.status;
    ending.signal.throwIfAborted();
    return { code, output };
  }
}

/** Prints at once, so that what commands print stays in order; a reader that left ends the demo. */
function print(output: string | Uint8Array): void {
  let rest = typeof output === "string" ? new TextEncoder().encode(`${output}\n`) : output;
  try {
    while (rest.byteLength > 0) rest = rest.subarray(Deno.stdout.writeSync(rest));
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
    endBy("SIGPIPE");
  }
}

/** Prints what a command prints, as it comes, and returns it. */
async function passOn(stream: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stream) {
    print(chunk);
    text += decoder.decode(chunk, { stream: true });
  }
  return text;
}

function emphasize(text: string): string {
  const isPlain = !Deno.stdout.isTerminal() || Deno.env.get("NO_COLOR");
  return isPlain ? text : `\x1b[1m${text}\x1b[0m`;
}

/** An argument as one would type it into a shell. */
function quote(argument: string): string {
  return /^[\w@%+=:,./-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", "'\\''")}'`;
}

async function build(): Promise<void> {
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--allow-all",
      join(ROOT, "tools", "build", "main.ts"),
      "--out",
      BIN_DIR,
      "--log-dir",
      DemoHost.logDir,
    ],
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
    signal: ending.signal,
  }).output();
  ending.signal.throwIfAborted();
  if (!success) throw new DemoError("the binaries could not be built; see above");
}

async function makeCertificates(story: Story): Promise<void> {
  story.tell("A private CA, and a certificate for the server, for a writer and for a reader.");
  const issue = (...args: string[]) =>
    story.run("worker-certs", "issue", "--dir", "certs", "--name", ...args);
  await story.run("worker-certs", "init", "--dir", "certs");
  await issue("server", "--server", "--san", "localhost,127.0.0.1");
  await issue("alice", "--role", "writer", "--bundle");
  await issue("bob", "--role", "reader", "--bundle");
}

async function startServer(story: Story, host: DemoHost): Promise<void> {
  story.tell("What each job may use, one file a resource. They are read at every start of a job.");
  await Deno.mkdir(join(host.folder, "limits"));
  for (const [name, text] of Object.entries(LIMITS)) {
    story.show(`echo ${text} > limits/${name}.txt`);
    await Deno.writeTextFile(join(host.folder, "limits", `${name}.txt`), `${text}\n`);
  }
  story.tell("The server. (The demo takes any free port; by default it is 50051.)");
  const args = [
    ...["--listen", "127.0.0.1:0", "--limits-dir", "limits", "--log-dir", join(host.folder, "log")],
    ...["--ca", "certs/ca.crt", "--cert", "certs/server.crt", "--key", "certs/server.key"],
    ...["--cgroup-parent", host.cgroupParent],
  ];
  story.show(`worker-server ${args.join(" ")} &`);
  const port = await host.startServer(join(BIN_DIR, "worker-server"), args);
  story.tell("Who the client is, and where its server is.");
  story.export("JOB_WORKER_SERVER", `127.0.0.1:${port}`);
  story.export("JOB_WORKER_IDENTITY", "certs/alice.pem");
}

/** Starts a job and returns its id. */
async function start(story: Story, ...command: string[]): Promise<string> {
  const answer = await story.run("worker-client", "start", ...command);
  const id = /^Job ID: (\S+) Started$/m.exec(answer)?.[1];
  if (id === undefined) throw new DemoError(`worker-client start answered "${answer.trim()}"`);
  return id;
}

async function showOutput(story: Story): Promise<void> {
  story.tell("A job that prints for some seconds. Start answers at once.");
  const id = await start(story, "sh", "-c", STEPS);
  story.tell("It runs: there is no exit code yet.");
  await story.run("worker-client", "query", id);
  story.tell("Its output, from the first byte on, and live until it ends.");
  await story.run("worker-client", "stream", id);
  story.tell("It has ended.");
  await story.run("worker-client", "query", id);
}

async function showLimit(story: Story): Promise<void> {
  story.tell("A job that keeps a CPU busy for two seconds, under the limit of 50% of one CPU.");
  const id = await start(story, "bash", "-c", BUSY);
  const output = await story.run("worker-client", "stream", id);
  const wall = readSeconds(output, "real");
  const cpu = readSeconds(output, "user") + readSeconds(output, "sys");
  const share = Math.round(100 * cpu / wall);
  print(
    `The clock says ${wall.toFixed(1)} s, the CPU worked ${cpu.toFixed(1)} s: ${share}%.`,
  );
}

/** A line of the shell's `time`, such as `real 0m2.005s`, in seconds. */
function readSeconds(output: string, name: string): number {
  const match = new RegExp(`^${name}\\s+(\\d+)m([\\d.,]+)s$`, "m").exec(output);
  if (match === null) throw new DemoError(`the job did not say its ${name} time`);
  return Number(match[1]) * 60 + Number(match[2]?.replace(",", "."));
}

async function showRoles(story: Story): Promise<void> {
  story.tell("A job without an end.");
  const id = await start(story, "sh", "-c", ENDLESS);
  story.tell("Bob is a reader. He may look at it, but not stop it.");
  await story.run("worker-client", "-i", "certs/bob.pem", "query", id);
  await story.runRefused("worker-client", "-i", "certs/bob.pem", "stop", id);
  story.tell("Alice is a writer. Stop is SIGTERM first, and SIGKILL for what ignores that.");
  await story.run("worker-client", "stop", id);
  story.tell("143 is 128 + 15, the number of SIGTERM.");
  await story.run("worker-client", "query", id);
}

const NEXT = `
The server is stopped; its control groups, files and certificates are gone.

What next
  npx -y deno@2.7.14 task build    makes bin/worker-server, bin/worker-client, bin/worker-certs
  bin/worker-server --help         what the server needs: certificates and a folder of limits
  bin/worker-client --help         what the client can do; copy it with one .pem file to any host
  README.md                        how to install it`;

async function tellStory(host: DemoHost): Promise<void> {
  await build();
  const story = new Story(host.folder);
  await makeCertificates(story);
  await startServer(story, host);
  await showOutput(story);
  await showLimit(story);
  await showRoles(story);
}

/** Signals, and callers that are gone, end the demo at its next step; it cleans up first. */
async function listenForEnd(): Promise<void> {
  for (const signal of ["SIGHUP", "SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => endBy(signal));
  }
  // npx passes no signal on: when it is killed, only the parent of `deno task` tells.
  const callers = await findCallers();
  const timer = setInterval(async () => {
    if (await findCallers() !== callers) endBy("SIGTERM");
  }, CALLER_INTERVAL_MS);
  Deno.unrefTimer(timer);
}

function endBy(signal: EndingSignal): void {
  ending.abort(signal);
}

/** `deno task`, and who called that. */
async function findCallers(): Promise<string> {
  const status = await Deno.readTextFile(`/proc/${Deno.ppid}/status`).catch(() => "");
  return `${Deno.ppid} ${/^PPid:.*$/m.exec(status)?.[0]}`;
}

/** Runs the demo and returns its exit status. */
async function main(): Promise<number> {
  await listenForEnd();
  let host: DemoHost | undefined;
  try {
    host = await DemoHost.open();
    await tellStory(host);
  } catch (error) {
    if (ending.signal.aborted) {
      console.error("demo: interrupted, cleaning up");
      return SIGNAL_STATUS[ending.signal.reason as EndingSignal];
    }
    if (!(error instanceof DemoError)) throw error;
    console.error(`demo: Cannot run the demo: ${error.message}`);
    return 1;
  } finally {
    await host?.close();
  }
  print(emphasize(NEXT));
  return 0;
}

Deno.exit(await main());
