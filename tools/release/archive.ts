/** Makes the archive of a release: the same files make the same bytes. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { isInstalled } from "../installed.ts";
import { runProgram } from "../run_program.ts";
import { archiveFiles, type Release, type ReleaseFile, writeFiles } from "./tree.ts";

/**
 * The window of the compression, as a power of 2: 128 MiB. Each binary begins with the same runtime of
 * 98 MB, which is stored once where the window reaches back that far; it is also the most that tar's
 * zstd unpacks without being told to.
 */
const WINDOW_LOG = 27;

/** The strongest level that needs no more memory for unpacking. It takes two minutes. */
export const SMALLEST_LEVEL = 19;

/** The name of a release, of its archive and of the folder in it. */
export function releaseName({ version, target }: Pick<Release, "version" | "target">): string {
  return `job-worker-${version}-${target.triple}`;
}

/**
 * Makes the archive.
 *
 * @param outDir Where it goes.
 * @param level The level of the compression.
 * @returns The file.
 * @throws {Error} A program is missing, or fails.
 */
export async function makeArchive(
  release: Release,
  { outDir, level }: { outDir: string; level: number },
): Promise<string> {
  for (const program of ["tar", "zstd"]) {
    if (!await isInstalled(program)) {
      throw new Error(
        `Cannot make an archive: there is no ${program}; on Debian, apt install ${program}`,
      );
    }
  }
  const name = releaseName(release);
  const folder = await Deno.makeTempDir({ dir: outDir, prefix: "release-" });
  try {
    const files = await archiveFiles(release);
    await writeFiles(join(folder, name), [...files, await checksums(files)]);
    const archive = join(outDir, `${name}.tar.zst`);
    // Names, owners and times of this host leave no trace; its umask leaves none in folders either.
    const script =
      'tar --directory="$1" --create --format=gnu --sort=name --numeric-owner --owner=0 ' +
      '--group=0 --mode=u=rwX,go=rX --mtime="@$3" "$2" >"$1/tar"\n' +
      `zstd --quiet --force -"$4" --long=${WINDOW_LOG} --threads=0 "$1/tar" -o "$1/zst"\n` +
      // Whoever finds the archive finds it whole.
      'chmod 644 "$1/zst"\nmv -f "$1/zst" "$5"';
    await runProgram("sh", [
      ...["-ec", script, "sh", folder, name],
      ...[String(release.commitTime), String(level), archive],
    ]);
    return archive;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** What `sha256sum --check` takes, for all files. */
async function checksums(files: readonly ReleaseFile[]): Promise<ReleaseFile> {
  const lines = await Promise.all(files.map(async ({ path, content }) => {
    const bytes = "text" in content
      ? new TextEncoder().encode(content.text)
      : await Deno.readFile(content.file);
    return `${createHash("sha256").update(bytes).digest("hex")}  ${path}\n`;
  }));
  return { path: "SHA256SUMS", mode: 0o644, content: { text: lines.join("") } };
}
