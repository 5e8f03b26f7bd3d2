/** What Debian wants to read of a package: control, changelog, copyright, overrides. Pure. */
import type { BinaryName } from "../build/permissions.ts";
import type { BuildTarget } from "../build/targets.ts";
import { KINDS } from "./package_kinds.ts";
import type { Release } from "./tree.ts";

/** Debian's own part of the version: raised when only the packaging changes. */
const REVISION = 1;

/** The systems that there are packages for, by Debian's names. */
const ARCHITECTURES: ReadonlyMap<string, string> = new Map([
  ["x86_64-unknown-linux-gnu", "amd64"],
  ["aarch64-unknown-linux-gnu", "arm64"],
]);

/** The name of a program's package. */
export function packageName(program: BinaryName): string {
  return `job-${program}`;
}

/** Whether there are packages for a system. */
export function hasPackages({ triple }: BuildTarget): boolean {
  return ARCHITECTURES.has(triple);
}

/** The version of the packages of a release. */
export function debianVersion({ version }: Release): string {
  return `${version}-${REVISION}`;
}

/**
 * Debian's name for the system of a release.
 *
 * @throws {Error} There is no such Debian.
 */
export function architectureOf({ target }: Release): string {
  const architecture = ARCHITECTURES.get(target.triple);
  if (architecture === undefined) throw new Error(`There is no Debian of ${target.triple}`);
  return architecture;
}

/**
 * The file `control` (deb-control(5)).
 *
 * @param installedKib What the files take, in KiB.
 */
export function controlText(program: BinaryName, release: Release, installedKib: number): string {
  const { fields, summary, description } = KINDS[program];
  return [
    `Package: ${packageName(program)}`,
    `Source: job-worker`,
    `Version: ${debianVersion(release)}`,
    `Architecture: ${architectureOf(release)}`,
    `Maintainer: ${release.committer}`,
    `Installed-Size: ${installedKib}`,
    ...fields,
    "Section: admin",
    "Priority: optional",
    `Description: ${summary}`,
    ...description.map((line) => ` ${line}`),
    "",
  ].join("\n");
}

/** The overrides of lintian, each below its reason. */
export function overridesText(program: BinaryName): string {
  return KINDS[program].overrides.map(([tag, reason]) =>
    `# ${reason}.\n${packageName(program)}: ${tag} *\n`
  ).join("");
}

/** Debian's changelog, which leads to ours. */
export function changelogText(release: Release): string {
  const date = new Date(release.commitTime * 1000).toUTCString().replace("GMT", "+0000");
  return `job-worker (${debianVersion(release)}) unstable; urgency=medium\n\n` +
    "  * What has changed: see changelog.gz beside this file.\n\n" +
    ` -- ${release.committer}  ${date}\n`;
}

/** The file `copyright`. */
export function copyrightText({ committer, commitTime }: Release): string {
  const year = new Date(commitTime * 1000).getUTCFullYear();
  return `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: job-worker
Upstream-Contact: ${committer}
Comment: The program contains the runtime of Deno and packages from npm, under the
 licences MIT, ISC, BSD, 0BSD and Apache-2.0 (see /usr/share/common-licenses/Apache-2.0).
 THIRD_PARTY_LICENCES.gz beside this file names each of them, with its text.

Files: *
Copyright: ${year} the authors of the job worker
License: none-stated
 The sources state no licence: ask their authors before you hand copies on.
`;
}
