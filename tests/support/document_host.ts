/** A host on which a document's commands are run: namespaces, folders and a loopback of its own. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { ROOT } from "./documents.ts";
import { run } from "./run.ts";
import { removeJobs } from "./server.ts";

const FIXTURES = join(ROOT, "tests", "fixtures", "documents");

/** Binaries with the log directory that documents name: that of a build without options. */
const DOCUMENT_BIN_DIR = join(ROOT, "build", "documents-bin");

/** The programs whose calls documents show. */
export const OUR_PROGRAMS = ["worker-server", "worker-client", "worker-certs"] as const;

/** The longest time for a block. */
const BLOCK_SECONDS = 180;

/** Programs and files of users that documents name; relative paths are in the working folder. */
const STAND_INS: Readonly<Record<string, string>> = {
  "/opt/backup.sh": "#!/bin/sh\necho backing up\n",
  "/opt/convert": '#!/bin/sh\ncat "$1"\n',
  "/opt/report": '#!/bin/sh\n[ -n "$TOKEN" ]\n',
  "/opt/untrusted": "#!/bin/sh\nexec cat\n",
  "/srv/checkout/build.sh": '#!/bin/sh\necho "building $COMMIT"\n',
  "/srv/in/a.csv": "a\n",
  "/srv/in/b.csv": "b\n",
  "/usr/local/bin/make": "#!/bin/sh\necho nothing to be done\n",
  "input.json": "{}\n",
  "secrets.env": "TOKEN=secret\n",
};

/** How a document's host is prepared. */
export interface HostOptions {
  /** Certificates and limits are in place and the server runs; otherwise the host is empty. */
  readonly isSetUp: boolean;
  /** Whether a host that is set up has the CA's folder `pki`, as the guide makes it. */
  readonly keepsCa?: boolean;
  /** Stand-ins only for this document. */
  readonly standIns?: Readonly<Record<string, string>>;
}

/** Builds the binaries that are not up to date. */
export async function buildForDocuments(): Promise<void> {
  const { code, stderr } = await run(Deno.execPath(), [
    ...["run", "--allow-all", join(ROOT, "tools", "build", "main.ts")],
    ...["--out", DOCUMENT_BIN_DIR, "--log-dir", "/var/log/job-worker"],
  ]);
  assert.equal(code, 0, stderr);
}

/** The help text of a program or a verb. */
export async function helpOf(program: string, ...verb: string[]): Promise<string> {
  const { code, stdout } = await run(join(DOCUMENT_BIN_DIR, program), [...verb, "--help"]);
  assert.equal(code, 0, `${program} ${verb} --help`);
  return stdout;
}

/** A host that lasts as long as its document. */
export class DocumentHost implements AsyncDisposable {
  readonly #scratch: string;
  readonly #cgroupParent: string;
  readonly #init: Deno.ChildProcess;
  readonly #requests: WritableStreamDefaultWriter<Uint8Array>;
  readonly #answers: AsyncIterator<string>;
  #blocks = 0;

  private constructor(scratch: string, cgroupParent: string) {
    this.#scratch = scratch;
    this.#cgroupParent = cgroupParent;
    const { PATH = "" } = Deno.env.toObject();
    this.#init = new Deno.Command("unshare", {
      args: ["--mount", "--net", "--propagation", "private", join(FIXTURES, "init.sh"), FIXTURES],
      cwd: join(scratch, "work"),
      clearEnv: true,
      env: {
        PATH: [join(FIXTURES, "bin"), "/usr/local/bin", DOCUMENT_BIN_DIR, PATH].join(":"),
        HOME: join(scratch, "home"),
        LANG: "C.UTF-8",
        SCRATCH: scratch,
        BLOCK_SECONDS: String(BLOCK_SECONDS),
        JOB_WORKER_CGROUP_PARENT: cgroupParent,
      },
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#requests = this.#init.stdin.getWriter();
    this.#answers = linesOf(this.#init.stdout);
  }

  /** Makes the host. */
  static async open(options: HostOptions): Promise<DocumentHost> {
    const scratch = await Deno.makeTempDir({ prefix: "job-worker-document-" });
    const name = scratch.slice(scratch.lastIndexOf("-") + 1);
    for (const folder of ["home", "work", "worker1"]) await Deno.mkdir(join(scratch, folder));
    await Deno.symlink(DOCUMENT_BIN_DIR, join(scratch, "work", "bin"));
    await Deno.symlink(join(ROOT, "deploy"), join(scratch, "work", "deploy"));
    await writeStandIns(scratch, options.standIns ?? {});
    const host = new DocumentHost(scratch, `job-worker-test-${name}`);
    if (options.isSetUp) {
      const { code, output } = await host.run(options.keepsCa ? SET_UP : SET_UP + REMOVE_CA);
      if (code !== 0) {
        await host[Symbol.asyncDispose]();
        assert.fail(`the document's host cannot be set up: ${output}`);
      }
    }
    return host;
  }

  /** Runs a script, with the variables and in the folder that the previous one left. */
  async run(script: string): Promise<{ code: number; output: string }> {
    const file = join(this.#scratch, `block-${++this.#blocks}`);
    await Deno.writeTextFile(file, script);
    await this.#requests.write(new TextEncoder().encode(`${file}\n`));
    const { value } = await this.#answers.next();
    assert.match(String(value), /^\d+$/, "the document's host is gone");
    return { code: Number(value), output: await Deno.readTextFile(`${file}.out`) };
  }

  /** Ends the server and its jobs, and removes everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#requests.close().catch(() => {});
    await this.#answers.return?.();
    await this.#init.status;
    await removeJobs(this.#cgroupParent);
    await Deno.remove(this.#scratch, { recursive: true });
  }
}

/** What documents expect that do not start with an empty host. */
const SET_UP = `
mkdir -p /etc/job-worker/limits pki
worker-certs init --dir pki
worker-certs issue --dir pki --name server --server --san worker1.example.com,worker1,localhost &
worker-certs issue --dir pki --name alice --role writer --bundle &
worker-certs issue --dir pki --name bob --role reader --bundle
wait
cp pki/alice.pem pki/bob.pem .
cp pki/ca.crt pki/server.crt pki/server.key /etc/job-worker
for name in cpu memory disk_io; do echo max >/etc/job-worker/limits/\${name}_limit.txt; done
echo JOB_WORKER_LISTEN=127.0.0.1:50051 >/etc/job-worker/server.env
systemctl start job-worker
export JOB_WORKER_SERVER=worker1.example.com:50051 JOB_WORKER_IDENTITY=$PWD/alice.pem
`;

const REMOVE_CA = "rm -r pki\n";

async function writeStandIns(scratch: string, own: HostOptions["standIns"]): Promise<void> {
  for (const [path, text] of Object.entries({ ...STAND_INS, ...own })) {
    const file = path.startsWith("/") ? join(scratch, "root", path) : join(scratch, "work", path);
    await Deno.mkdir(join(file, ".."), { recursive: true });
    await Deno.writeTextFile(file, text, { mode: text.startsWith("#!") ? 0o755 : 0o644 });
  }
  // Jobs of other users must be able to read what is below.
  await Deno.chmod(scratch, 0o755);
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}
