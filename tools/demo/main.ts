/**
 * Shows the main job with the real binaries: a throwaway CA, a server, and a client at work.
 *
 * Usage: deno task demo [--cluster]
 *
 * With --cluster the jobs run on a Slurm cluster of two nodes, which it makes on this host. Everything
 * that it makes is gone when it ends, also by Ctrl-C; only build/ keeps the binaries.
 */
import { join } from "node:path";
import { Cluster } from "../../tests/support/cluster/cluster.ts";
import { whyNoOwnCluster } from "../../tests/support/cluster/possible.ts";
import { ending, endingStatus, listenForEnd } from "./ending.ts";
import { DemoError, DemoHost } from "./host.ts";
import { tellOfCluster } from "./on_a_cluster.ts";
import { tellOfThisHost } from "./on_this_host.ts";
import { BIN_DIR, emphasize, print, ROOT, Story } from "./story.ts";

const CLUSTER_FLAG = "--cluster";

const USAGE_STATUS = 2;

const LIMITS = { cpu_limit: "50%", memory_limit: "256M", disk_io_limit: "10MB/s" };

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
    signal: ending,
  }).output();
  ending.throwIfAborted();
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

/** @param placement Where jobs run, and where their control groups or folders are. */
async function startServer(
  story: Story,
  host: DemoHost,
  placement: readonly string[],
): Promise<void> {
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
    ...placement,
  ];
  story.show(`worker-server ${args.join(" ")} &`);
  const port = await host.startServer(join(BIN_DIR, "worker-server"), args);
  story.tell("Who the client is, and where its server is.");
  story.export("JOB_WORKER_SERVER", `127.0.0.1:${port}`);
  story.export("JOB_WORKER_IDENTITY", "certs/alice.pem");
}

async function tellOnThisHost(host: DemoHost): Promise<void> {
  await build();
  const story = new Story(host.folder);
  await makeCertificates(story);
  await startServer(story, host, ["--cgroup-parent", host.cgroupParent]);
  await tellOfThisHost(story);
}

async function tellOnACluster(host: DemoHost): Promise<void> {
  const reason = await whyNoOwnCluster();
  if (reason !== undefined) throw new DemoError(`no cluster can be made here: ${reason}`);
  await build();
  const story = new Story(host.folder);
  await makeCertificates(story);
  story.tell(
    "A Slurm cluster: a controller and two nodes, in namespaces of this host. Nothing of ours is there.",
  );
  ending.throwIfAborted();
  await using cluster = await Cluster.start();
  story.export("SLURM_CONF", cluster.confFile);
  await story.run("sinfo", "--Node", "--format=%N %T %c");
  const sharedFolder = join(host.folder, "shared");
  await Deno.mkdir(sharedFolder, { mode: 0o700 });
  await startServer(story, host, [
    ...["--engine", "slurm", "--shared-dir", sharedFolder, "--slurm-conf", cluster.confFile],
  ]);
  await tellOfCluster(story);
}

const NEXT = `
  npx -y deno@2.7.14 task build    makes bin/worker-server, bin/worker-client, bin/worker-certs
  bin/worker-server --help         what the server needs: certificates and a folder of limits
  bin/worker-client --help         what the client can do; copy it with one .pem file to any host
  README.md                        how to install it`;

const NEXT_ON_THIS_HOST = `
The server is stopped; its control groups, files and certificates are gone.

What next${NEXT}`;

const NEXT_ON_A_CLUSTER = `
The server and the cluster are stopped; their control groups, networks and files are gone.

What next${NEXT}
  docs/cluster.md                  what a site must have, and what holds there`;

/** Runs the demo and returns its exit status. */
async function main(args: readonly string[]): Promise<number> {
  // `deno task demo -- --cluster` hands on the two dashes.
  const [flag, ...more] = args.filter((arg) => arg !== "--");
  if (more.length > 0 || flag !== undefined && flag !== CLUSTER_FLAG) {
    console.error(`usage: deno task demo [${CLUSTER_FLAG}]`);
    return USAGE_STATUS;
  }
  const isOnACluster = flag === CLUSTER_FLAG;
  await listenForEnd();
  let host: DemoHost | undefined;
  try {
    host = await DemoHost.open();
    await (isOnACluster ? tellOnACluster(host) : tellOnThisHost(host));
  } catch (error) {
    if (ending.aborted) {
      console.error("demo: interrupted, cleaning up");
      return endingStatus();
    }
    if (!(error instanceof DemoError)) throw error;
    console.error(`demo: Cannot run the demo: ${error.message}`);
    return 1;
  } finally {
    await host?.close();
  }
  print(emphasize(isOnACluster ? NEXT_ON_A_CLUSTER : NEXT_ON_THIS_HOST));
  return 0;
}

Deno.exit(await main(Deno.args));
