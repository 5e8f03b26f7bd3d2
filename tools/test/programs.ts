/** Debian's packages that tests call, installed where that can be done. */
import { isInstalled } from "../installed.ts";

/** By a program of theirs, or a file that is there with them. */
const PACKAGES: Readonly<Record<string, string>> = {
  chromium: "chromium",
  fish: "fish",
  ip: "iproute2",
  jq: "jq",
  lintian: "lintian",
  openssl: "openssl",
  strace: "strace",
  zsh: "zsh",
  zstd: "zstd",
  // A client in another language.
  protoc: "protobuf-compiler",
  "/usr/share/grpc-proto/grpc/health/v1/health.proto": "grpc-proto",
  "/usr/lib/python3/dist-packages/google/protobuf/__init__.py": "python3-protobuf",
  "/usr/lib/python3/dist-packages/grpc/__init__.py": "python3-grpcio",
  // A cluster, and a file system with a cache of attributes.
  slurmctld: "slurmctld",
  slurmd: "slurmd",
  sbatch: "slurm-client",
  munged: "munge",
  bindfs: "bindfs",
};

/** Folders of programs that not everybody's PATH leads to. */
const FOLDERS = ["/usr/sbin", "/sbin"];

/**
 * Installs what is missing, as root on a host with apt-get; elsewhere the tests that need a program
 * say that they skip.
 */
export async function installPrograms(): Promise<void> {
  const missing = [];
  for (const [program, name] of Object.entries(PACKAGES)) {
    if (!await isInstalled(program, FOLDERS)) missing.push(name);
  }
  if (missing.length === 0 || Deno.uid() !== 0 || !await isInstalled("apt-get")) return;
  console.log(`\n== installing ${missing.join(", ")}`);
  for (const args of [["update"], ["install", "--yes", "--no-install-recommends", ...missing]]) {
    await new Deno.Command("apt-get", {
      args: ["-qq", ...args],
      env: { DEBIAN_FRONTEND: "noninteractive" },
      stdin: "null",
      stdout: "null",
      stderr: "inherit",
    }).output();
  }
}
