/** The main job on one host: follow, a limit, roles, stop. */
import { DemoError } from "./host.ts";
import { print, type Story } from "./story.ts";

const BUSY = 'time timeout 2 sh -c "while :; do :; done"';
const STEPS = 'for i in 1 2 3 4 5; do echo "step $i of 5"; sleep 0.7; done';
const ENDLESS = "while :; do date; sleep 1; done";

/** Tells it all. */
export async function tellOfThisHost(story: Story): Promise<void> {
  await showOutput(story);
  await showLimit(story);
  await showRoles(story);
}

async function showOutput(story: Story): Promise<void> {
  story.tell("A job that prints for some seconds. Start answers at once.");
  const id = await story.start("sh", "-c", STEPS);
  story.tell("It runs: there is no exit code yet.");
  await story.run("worker-client", "query", id);
  story.tell("Its output, from the first byte on, and live until it ends.");
  await story.run("worker-client", "stream", id);
  story.tell("It has ended.");
  await story.run("worker-client", "query", id);
}

async function showLimit(story: Story): Promise<void> {
  story.tell("A job that keeps a CPU busy for two seconds, under the limit of 50% of one CPU.");
  const id = await story.start("bash", "-c", BUSY);
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
  const id = await story.start("sh", "-c", ENDLESS);
  story.tell("Bob is a reader. He may look at it, but not stop it.");
  await story.run("worker-client", "-i", "certs/bob.pem", "query", id);
  await story.runRefused("worker-client", "-i", "certs/bob.pem", "stop", id);
  story.tell("Alice is a writer. Stop is SIGTERM first, and SIGKILL for what ignores that.");
  await story.run("worker-client", "stop", id);
  story.tell("143 is 128 + 15, the number of SIGTERM.");
  await story.run("worker-client", "query", id);
}
