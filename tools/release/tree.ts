/** The files of a release: what an archive holds, and what Debian packages are made of. */
import { join, resolve } from "node:path";
import { describeCerts } from "../../certs/program.ts";
import { completionScript, SHELLS } from "../../client/command_line/completion.ts";
import { describeProgram, JOB_KINDS } from "../../client/program.ts";
import { describeServer } from "../../lib/server/config.ts";
import type { BinaryName } from "../build/permissions.ts";
import type { BuildTarget } from "../build/targets.ts";
import { type ManPage, manPage } from "./man_page.ts";

const ROOT = resolve(import.meta.dirname ?? ".", "../..");

/** One file, by its path below the release's folder. */
export interface ReleaseFile {
  readonly path: string;
  readonly mode: 0o644 | 0o755;
  readonly content: { readonly text: string } | { readonly file: string };
}

/** What a release is made of. */
export interface Release {
  readonly target: BuildTarget;
  /** Where the binaries are. */
  readonly binDir: string;
  readonly version: string;
  /** When the source was committed, in seconds since 1970-01-01 UTC. */
  readonly commitTime: number;
  /** Who committed it, as `NAME <ADDRESS>`. */
  readonly committer: string;
  /** The licences of the packages in the binaries. */
  readonly licences: string;
}

const DESCRIPTIONS = {
  "worker-server": describeServer,
  "worker-client": describeProgram,
  "worker-certs": describeCerts,
} as const;

const SECTIONS: Readonly<Record<BinaryName, 1 | 8>> = {
  "worker-server": 8,
  "worker-client": 1,
  "worker-certs": 1,
};

/** Where each shell looks for completion, below `share`. */
const COMPLETION_FILES: Readonly<Record<typeof SHELLS[number], string>> = {
  bash: "bash-completion/completions/worker-client",
  zsh: "zsh/site-functions/_worker-client",
  fish: "fish/vendor_completions.d/worker-client.fish",
};

/** The client as a module, which the build puts beside the binaries. */
const LIBRARY = ["worker-client.js", "worker-client.d.ts"];

/** The files of deploy/ that only the packages need. */
const NOT_DEPLOYED = /^deploy\/debian\//;

/** All files of an archive but its checksums. */
export async function archiveFiles(release: Release): Promise<ReleaseFile[]> {
  const { target, binDir } = release;
  const programs = target.binaries.map((name) => name + target.suffix);
  const hasServer = target.binaries.includes("worker-server");
  const documents = ["README.md", "CHANGELOG.md", ...await filesBelow("docs")];
  const deploy = hasServer
    ? (await filesBelow("deploy")).filter((path) => !NOT_DEPLOYED.test(path))
    : [];
  return [
    ...programs.map((name) => fromFile(`bin/${name}`, join(binDir, name), 0o755)),
    ...LIBRARY.map((name) => fromFile(`bin/${name}`, join(binDir, name))),
    ...documents.map((path) => fromFile(path, join(ROOT, path))),
    ...deploy.map((path) =>
      fromFile(path, join(ROOT, path), path === "deploy/install.sh" ? 0o755 : 0o644)
    ),
    ...target.binaries.map((name) => manFile(name, release)),
    ...completionFiles(),
    { path: "THIRD_PARTY_LICENCES", mode: 0o644, content: { text: release.licences } },
  ];
}

/** The manual page of a program. */
export function manFile(name: BinaryName, { version, commitTime }: Release): ReleaseFile {
  const section = SECTIONS[name];
  const page: ManPage = {
    section,
    version,
    date: new Date(commitTime * 1000).toISOString().slice(0, 10),
    seeAlso: (Object.keys(SECTIONS) as BinaryName[]).filter((other) => other !== name)
      .map((other) => `${other}(${SECTIONS[other]})`),
  };
  const text = manPage(DESCRIPTIONS[name](), page);
  return {
    path: `share/man/man${section}/${name}.${section}`,
    mode: 0o644,
    content: { text },
  };
}

/** The scripts that `worker-client completion` prints, where shells look for them. */
export function completionFiles(): ReleaseFile[] {
  return SHELLS.map((shell) => ({
    path: `share/${COMPLETION_FILES[shell]}`,
    mode: 0o644,
    content: { text: completionScript(shell, describeProgram(), JOB_KINDS) },
  }));
}

/** A file that is taken as it is. */
export function fromFile(path: string, file: string, mode: 0o644 | 0o755 = 0o644): ReleaseFile {
  return { path, mode, content: { file } };
}

/** The files below a folder of the repository, by their paths in it. */
export async function filesBelow(folder: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(join(ROOT, folder))) {
    const path = `${folder}/${name}`;
    if (isDirectory) found.push(...await filesBelow(path));
    else found.push(path);
  }
  return found.sort();
}

/** Writes files into a folder, with exactly their modes. */
export async function writeFiles(folder: string, files: readonly ReleaseFile[]): Promise<void> {
  for (const { path, mode, content } of files) {
    const target = join(folder, path);
    await Deno.mkdir(join(target, ".."), { recursive: true });
    if ("text" in content) await Deno.writeTextFile(target, content.text);
    else await Deno.copyFile(content.file, target);
    await Deno.chmod(target, mode);
  }
}
