/** Debian packages of a release, one for each program: Debian Policy, deb(5). */
import { join, resolve } from "node:path";
import type { BinaryName } from "../build/permissions.ts";
import { isInstalled } from "../installed.ts";
import { runProgram } from "../run_program.ts";
import { KINDS } from "./package_kinds.ts";
import {
  architectureOf,
  changelogText,
  controlText,
  copyrightText,
  debianVersion,
  overridesText,
  packageName,
} from "./package_texts.ts";
import {
  completionFiles,
  filesBelow,
  fromFile,
  manFile,
  type Release,
  type ReleaseFile,
  writeFiles,
} from "./tree.ts";

const ROOT = resolve(import.meta.dirname ?? ".", "../..");

/** How packages are compressed that are given away: what every dpkg can unpack. */
export const SMALL: readonly string[] = ["-Zxz", "-z6"];

/** Files of the server that an operator edits: dpkg asks before it changes them. */
const CONFFILES = [
  "etc/job-worker/limits/cpu_limit.txt",
  "etc/job-worker/limits/disk_io_limit.txt",
  "etc/job-worker/limits/memory_limit.txt",
  "etc/job-worker/server.env",
];

const UNITS = ["job-worker.service", "job-worker-jobs.service"];

/** Scripts of the package that has the units. */
const SCRIPTS = ["preinst", "postinst", "prerm", "postrm"];

/**
 * Makes the packages.
 *
 * @param outDir Where they go.
 * @param compression As `dpkg-deb` takes it: `-Zxz`, say.
 * @returns The files.
 * @throws {Error} `dpkg-deb` is missing, or fails.
 */
export async function makePackages(
  release: Release,
  { outDir, compression }: { outDir: string; compression: readonly string[] },
): Promise<string[]> {
  if (!await isInstalled("dpkg-deb")) {
    throw new Error("Cannot make packages: there is no dpkg-deb; make them on Debian");
  }
  const made: string[] = [];
  for (const program of release.target.binaries) {
    made.push(await makePackage(program, release, { outDir, compression }));
  }
  return made;
}

/** Makes the package of one program, as {@linkcode makePackages}. */
export async function makePackage(
  program: BinaryName,
  release: Release,
  { outDir, compression }: { outDir: string; compression: readonly string[] },
): Promise<string> {
  const folder = await Deno.makeTempDir({ dir: outDir, prefix: "package-" });
  try {
    const root = join(folder, "root");
    await writeFiles(root, await packageFiles(program, release));
    const documents = join(root, "usr/share/doc", packageName(program));
    // Each file of its own time, without a name or a time in the compressed ones.
    const script = 'find "$1/usr/share/man" -type f -exec gzip -9n {} +\n' +
      'gzip -9n "$2"/changelog* "$2/THIRD_PARTY_LICENCES"\n' +
      'find "$1" -type d -exec chmod 755 {} +\n' +
      'find "$1" -exec touch --no-dereference --date="@$3" {} +';
    const time = String(release.commitTime);
    await runProgram("sh", ["-ec", script, "sh", root, documents, time]);
    const control = join(root, "DEBIAN");
    const text = controlText(program, release, await sizeKib(root));
    await writeFiles(control, controlFiles(program, text));
    await runProgram("sh", ["-ec", MD5SUMS, "sh", root, time]);
    const file = `${packageName(program)}_${debianVersion(release)}_${architectureOf(release)}.deb`;
    const part = join(folder, file);
    await runProgram("dpkg-deb", [
      ...["--root-owner-group", ...compression, "--build", root, part],
    ], { env: { SOURCE_DATE_EPOCH: time } });
    await Deno.chmod(part, 0o644);
    await Deno.rename(part, join(outDir, file));
    return join(outDir, file);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const MD5SUMS = `cd "$1"
find . -path ./DEBIAN -prune -o -path ./etc -prune -o -type f -printf '%P\\0' |
  LC_ALL=C sort --zero-terminated | xargs --null md5sum >DEBIAN/md5sums
chmod 644 DEBIAN/md5sums
chmod 755 DEBIAN
find DEBIAN -exec touch --date="@$2" {} +
touch --date="@$2" .`;

/** What a package installs, `usr/share/doc` included. */
async function packageFiles(program: BinaryName, release: Release): Promise<ReleaseFile[]> {
  const kind = KINDS[program];
  const name = packageName(program);
  const documents = `usr/share/doc/${name}`;
  const text = (path: string, content: string): ReleaseFile => ({
    path,
    mode: 0o644,
    content: { text: content },
  });
  const man = manFile(program, release);
  return [
    fromFile(`${kind.folder}/${program}`, join(release.binDir, program), 0o755),
    { ...man, path: `usr/${man.path}` },
    ...kind.documents.map((path) => fromFile(`${documents}/${baseOf(path)}`, join(ROOT, path))),
    fromFile(`${documents}/changelog`, join(ROOT, "CHANGELOG.md")),
    text(`${documents}/changelog.Debian`, changelogText(release)),
    text(`${documents}/copyright`, copyrightText(release)),
    text(`${documents}/THIRD_PARTY_LICENCES`, release.licences),
    text(`usr/share/lintian/overrides/${name}`, overridesText(program)),
    ...program === "worker-server" ? await serviceFiles(documents) : [],
    ...program === "worker-client" ? clientFiles() : [],
  ];
}

async function serviceFiles(documents: string): Promise<ReleaseFile[]> {
  const units = await Promise.all(UNITS.map(async (name): Promise<ReleaseFile> => {
    const text = await Deno.readTextFile(join(ROOT, "deploy", name));
    return {
      path: `lib/systemd/system/${name}`,
      mode: 0o644,
      content: { text: text.replaceAll("/usr/local/bin/", "/usr/sbin/") },
    };
  }));
  const examples = (await filesBelow("deploy")).filter((path) => /\.(json|yml)$/.test(path));
  return [
    ...units,
    ...CONFFILES.map((path) =>
      fromFile(path, join(ROOT, path.replace("etc/job-worker", "deploy/config")))
    ),
    fromFile("usr/share/job-worker/service.sh", join(ROOT, "deploy/service.sh")),
    fromFile(
      "usr/share/job-worker/container_init.sh",
      join(ROOT, "deploy/container_init.sh"),
      0o755,
    ),
    ...examples.map((path) => fromFile(`${documents}/examples/${baseOf(path)}`, join(ROOT, path))),
  ];
}

/** Debian's zsh looks elsewhere than one that is built by hand. */
function clientFiles(): ReleaseFile[] {
  return completionFiles().map((file) => ({
    ...file,
    path: `usr/${file.path.replace("zsh/site-functions", "zsh/vendor-completions")}`,
  }));
}

function baseOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

function controlFiles(program: BinaryName, control: string): ReleaseFile[] {
  const text: ReleaseFile = { path: "control", mode: 0o644, content: { text: control } };
  if (program !== "worker-server") return [text];
  return [
    text,
    {
      path: "conffiles",
      mode: 0o644,
      content: { text: CONFFILES.map((path) => `/${path}\n`).join("") },
    },
    ...SCRIPTS.map((name) => fromFile(name, join(ROOT, "deploy/debian", name), 0o755)),
  ];
}

/** What the files take, as dpkg counts it: each in whole KiB, and one for each folder. */
async function sizeKib(root: string): Promise<number> {
  let total = 0;
  for await (const { name, isDirectory } of Deno.readDir(root)) {
    const path = join(root, name);
    total += isDirectory ? 1 + await sizeKib(path) : Math.ceil((await Deno.stat(path)).size / 1024);
  }
  return total;
}
