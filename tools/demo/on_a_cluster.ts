/** The main job on the two nodes of a Slurm cluster: queue, nodes, follow, stop. */
import type { Story } from "./story.ts";

/** All cores of a node of the demo's cluster (tests/support/cluster): two such jobs fill it. */
const WHOLE_NODE = ["--cpus", "4"];

const STEPS = 'for i in 1 2 3 4 5; do echo "step $i of 5 on $(hostname)"; sleep 0.7; done';
const ENDLESS = "while :; do hostname; sleep 1; done";

/** Tells it all. */
export async function tellOfCluster(story: Story): Promise<void> {
  story.tell("The server is over a cluster, and holds all limits there.");
  await story.run("worker-client", "doctor");
  await showQueue(story);
  await showNextJob(story);
  await showEnd(story);
}

async function showQueue(story: Story): Promise<void> {
  story.tell("Two jobs without an end, each with all cores of a node.");
  await startNamed(story, "first", ENDLESS);
  await startNamed(story, "second", ENDLESS);
  story.tell("A third one. Start answers when Slurm has it; it waits for its turn.");
  await startNamed(story, "third", STEPS);
  story.tell("Where each job runs, and what the third one waits for.");
  await story.runUntil(/third +pending +\(\w+\)[^]*running[^]*running/, "worker-client", "list");
  await story.run("worker-client", "query", "--long", "third");
  story.tell("The same jobs, as Slurm tells of them: a job's name there is its id here.");
  await story.run("squeue", "--format=%.5i %.36j %.8T %R");
}

async function showNextJob(story: Story): Promise<void> {
  story.tell("The first job is stopped, on its node: SIGTERM, and SIGKILL for what ignores that.");
  await story.run("worker-client", "stop", "first");
  story.tell("143 is 128 + 15, the number of SIGTERM.");
  await story.run("worker-client", "query", "first");
  story.tell("Its node is free. The third job is followed from there, until it ends.");
  await story.run("worker-client", "stream", "third");
  await story.run("worker-client", "query", "--long", "third");
}

async function showEnd(story: Story): Promise<void> {
  story.tell("The second job ran on the other node all the time.");
  await story.run("worker-client", "stop", "second");
  await story.run("worker-client", "list", "--all");
}

async function startNamed(story: Story, name: string, script: string): Promise<void> {
  await story.start("--name", name, ...WHOLE_NODE, "sh", "-c", script);
}
