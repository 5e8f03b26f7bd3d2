/**
 * Whether users of this host other than root can read the server's key, or change a file that decides
 * who may do what.
 */
import { dirname, join } from "node:path";
import { isChangeable, isOpen } from "../../common/file_modes.ts";

/** The files to look at; those that do not exist are left out, their folders are not. */
export interface GuardedFiles {
  /** Only root may read them. */
  readonly secret: readonly string[];
  /** Only root may change them. */
  readonly decisive: readonly string[];
}

const ROOT_ID = 0;

/**
 * Looks at each file and at every folder above it, of symbolic links at both ends.
 *
 * @param owners The users that may own them.
 * @returns One line for each problem, with the command that mends it.
 */
export async function findExposures(
  { secret, decisive }: GuardedFiles,
  owners: readonly number[] = [ROOT_ID],
): Promise<string[]> {
  const places = new Set((await Promise.all([...secret, ...decisive].map(placesOf))).flat());
  const problems = await Promise.all([
    ...secret.map(secretProblem),
    ...[...places].map((path) => changeProblem(path, owners)),
  ]);
  return problems.flatMap((problem) => problem ?? []);
}

/** The file, and all folders on the way to it. */
async function placesOf(file: string): Promise<string[]> {
  const real = await Deno.realPath(file).catch(() => undefined);
  const folder = await Deno.realPath(dirname(file)).catch(() => undefined);
  return [
    ...(real === undefined ? [] : [real, ...foldersAbove(real)]),
    // Who may replace a link decides as well.
    ...(folder === undefined ? [] : foldersAbove(join(folder, "link"))),
  ];
}

function foldersAbove(path: string): string[] {
  const folder = dirname(path);
  return folder === path ? [] : [folder, ...foldersAbove(folder)];
}

async function secretProblem(file: string): Promise<string | undefined> {
  const info = await Deno.stat(file).catch(() => undefined);
  if (info === undefined || !isOpen(info)) return undefined;
  return `others may read or change the key ${file}: run chmod 600 ${file}`;
}

async function changeProblem(
  path: string,
  owners: readonly number[],
): Promise<string | undefined> {
  const info = await Deno.stat(path).catch(() => undefined);
  if (info === undefined) return undefined;
  const what = `${path}, and with it who may do what here`;
  if (info.uid !== null && !owners.includes(info.uid)) {
    return `another user may change ${what}: run chown root ${path}`;
  }
  return isChangeable(info) ? `others may change ${what}: run chmod go-w ${path}` : undefined;
}
