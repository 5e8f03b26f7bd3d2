/**
 * The alternative: an OpenSSH server of the benchmark's own on a loopback port, as fast as its
 * settings make it.
 *
 * The login shell (bash) reads no start-up files of this host. Keys, key exchange and cipher are those
 * of our TLS, unless a benchmark asks for OpenSSH's own first choices: the key exchange (against quantum
 * computers, about 65 ms) and the cipher (a quarter less throughput on processors with AES) take longer.
 */
import { join } from "node:path";
import { until } from "../tests/support/wait.ts";
import { runChild } from "./child.ts";

const SSHD = "/usr/sbin/sshd";

/** By which a user sees whether processes have ended. */
const PGREP = "/usr/bin/pgrep";

/** Debian's packages of both. */
const PACKAGES = ["openssh-server", "procps"];

/** sshd separates its privileges in here, and takes no other place. */
const RUN_FOLDER = "/run/sshd";

/** As those of our certificates. */
const KEY_BITS = "4096";

/** A connection that is open for many commands. */
export interface SharedConnection extends AsyncDisposable {
  /** The arguments of `ssh` for a command over it. */
  args(...command: string[]): string[];
}

/** An sshd with configuration, host key and client key made for it, all in one folder. */
export class SshHost implements AsyncDisposable {
  readonly #folder: string;
  readonly #server: Deno.ChildProcess;

  private constructor(folder: string, server: Deno.ChildProcess) {
    this.#folder = folder;
    this.#server = server;
  }

  /** The process id of sshd, whose children serve the connections. */
  get pid(): number {
    return this.#server.pid;
  }

  /** Starts one; installs Debian's openssh-server where there is none. */
  static async start(report: (line: string) => void): Promise<SshHost> {
    await install(report);
    await Deno.mkdir(RUN_FOLDER, { recursive: true });
    const folder = await Deno.makeTempDir({ prefix: "job-worker-ssh-" });
    for (const key of ["host_key", "client_key"]) {
      const file = join(folder, key);
      await runChild("ssh-keygen", ["-q", "-t", "rsa", "-b", KEY_BITS, "-N", "", "-f", file]);
    }
    const port = freePort();
    await writeConfiguration(folder, port);
    const server = new Deno.Command(SSHD, {
      args: ["-D", "-e", "-f", join(folder, "sshd_config")],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const host = new SshHost(folder, server);
    await until("sshd to take connections", () => host.run("true").then(() => true, () => false));
    return host;
  }

  /** The arguments of `ssh` for a command on the host, over a new connection. */
  args(...command: string[]): string[] {
    return ["-F", join(this.#folder, "ssh_config"), "host", ...command];
  }

  /** The same with OpenSSH's own choice of key exchange and cipher: as it is installed. */
  plainArgs(...command: string[]): string[] {
    return ["-F", join(this.#folder, "plain_config"), "host", ...command];
  }

  /**
   * The same without a network: ssh starts an sshd of its own, and speaks to it by pipes. Over TCP
   * OpenSSH twice waits some 40 ms for a delayed acknowledgement, because it sets TCP_NODELAY only
   * when a command begins, and has no option for it.
   */
  pipedArgs(...command: string[]): string[] {
    const server = `${SSHD} -i -f ${join(this.#folder, "sshd_config")}`;
    return ["-o", `ProxyCommand=${server}`, ...this.args(...command)];
  }

  /** Runs a command over a new connection. */
  run(...command: string[]): Promise<string> {
    return runChild("ssh", this.args(...command));
  }

  /** Opens one connection for many commands, which run over it when given {@linkcode sharedArgs}. */
  share(): Promise<SharedConnection> {
    return this.#share("shared");
  }

  /** The arguments of `ssh` for a command over the shared connection. */
  sharedArgs(...command: string[]): string[] {
    return ["-S", this.#socket("shared"), ...this.args(...command)];
  }

  /** Opens another connection for many commands. */
  connect(): Promise<SharedConnection> {
    return this.#share(crypto.randomUUID().slice(0, 8));
  }

  async #share(name: string): Promise<SharedConnection> {
    const options = ["-S", this.#socket(name)];
    await runChild("ssh", ["-M", "-N", "-f", ...options, ...this.args()]);
    return {
      args: (...command) => [...options, ...this.args(...command)],
      [Symbol.asyncDispose]: async () => {
        await runChild("ssh", ["-O", "exit", ...options, ...this.args()]);
      },
    };
  }

  #socket(name: string): string {
    return join(this.#folder, name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.kill("SIGTERM");
    await this.#server.status;
    await Deno.remove(this.#folder, { recursive: true });
  }
}

async function install(report: (line: string) => void): Promise<void> {
  const found = await Promise.all([SSHD, PGREP].map((file) => Deno.stat(file).catch(() => {})));
  if (!found.includes(undefined)) return;
  report(`installing ${PACKAGES.join(" and ")} (what we are compared with)`);
  // The one of the package is not to be started; ours is.
  const env = { DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" };
  await runChild("apt-get", ["-qq", "update"], { env });
  await runChild("apt-get", ["-qq", "install", "--yes", "--no-install-recommends", ...PACKAGES], {
    env,
  });
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

async function writeConfiguration(folder: string, port: number): Promise<void> {
  const home = join(folder, "home");
  await Deno.mkdir(home);
  await Deno.copyFile(join(folder, "client_key.pub"), join(folder, "authorized_keys"));
  const hostKey = await Deno.readTextFile(join(folder, "host_key.pub"));
  await Deno.writeTextFile(join(folder, "known_hosts"), `[127.0.0.1]:${port} ${hostKey}`);
  await Deno.writeTextFile(
    join(folder, "sshd_config"),
    [
      `ListenAddress 127.0.0.1:${port}`,
      `HostKey ${folder}/host_key`,
      `AuthorizedKeysFile ${folder}/authorized_keys`,
      "PermitRootLogin prohibit-password",
      "PasswordAuthentication no",
      "StrictModes no",
      "UsePAM no",
      "PidFile none",
      // What is in root's .bashrc took longer than ssh itself.
      `SetEnv HOME=${home}`,
      "PermitUserRC no",
      // As many at once as we are asked for.
      "MaxSessions 100",
      "MaxStartups 100",
      "",
    ].join("\n"),
  );
  const settings = [
    "Host host",
    "HostName 127.0.0.1",
    `Port ${port}`,
    "User root",
    `IdentityFile ${folder}/client_key`,
    "IdentitiesOnly yes",
    "IdentityAgent none",
    `UserKnownHostsFile ${folder}/known_hosts`,
    "GlobalKnownHostsFile /dev/null",
    "StrictHostKeyChecking yes",
    "BatchMode yes",
    "LogLevel ERROR",
    "",
  ];
  await Deno.writeTextFile(join(folder, "plain_config"), settings.join("\n"));
  const likeOurs = ["KexAlgorithms curve25519-sha256", "Ciphers aes256-gcm@openssh.com", ""];
  await Deno.writeTextFile(join(folder, "ssh_config"), [...settings, ...likeOurs].join("\n"));
}
