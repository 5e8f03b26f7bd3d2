/** Programs of this host. Imports nothing, since a tool needs it before anything is installed. */

/**
 * Whether there is a program of this name, or a file of this path.
 *
 * @param program A name that is looked up in the PATH, or an absolute path.
 * @param folders Where to look besides the PATH; only root's PATH leads to /usr/sbin, say.
 */
export async function isInstalled(
  program: string,
  folders: readonly string[] = [],
): Promise<boolean> {
  if (program.startsWith("/")) {
    return await Deno.stat(program).then(() => true, () => false);
  }
  for (const folder of [...(Deno.env.get("PATH") ?? "").split(":"), ...folders]) {
    const info = await Deno.stat(`${folder}/${program}`).catch(() => undefined);
    if (info?.isFile) return true;
  }
  return false;
}
