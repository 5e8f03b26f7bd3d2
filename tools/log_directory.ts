import { posix } from "node:path";

/** Where a server keeps its jobs unless the build says otherwise. */
export const DEFAULT_LOG_DIR = "/var/log/job-worker";

/** A comma would end the path inside `--allow-write`, so only characters without a meaning pass. */
const PLAIN_PATH = /^[A-Za-z0-9._@+/-]+$/;

/** Deno lets no program write here unless it may do everything, whatever the build allows. */
const KERNEL_TREES = ["/proc", "/sys", "/dev"];

/** Folders that belong to the whole host: a write permission for one would be no bound. */
const SHARED = new Set(
  "/ /bin /boot /etc /home /lib /lib64 /media /mnt /opt /root /run /sbin /srv /tmp /usr /usr/local /var /var/lib /var/log /var/tmp"
    .split(" "),
);

/**
 * Checks and normalizes the log directory that a build fixes.
 *
 * @throws {Error} where it is not an absolute path of plain characters, or not the server's own.
 */
export function normalizeLogDir(text: string): string {
  const refuse = (why: string) => new Error(`Cannot build with log directory "${text}": ${why}`);
  if (!text.startsWith("/")) throw refuse("give an absolute path");
  if (!PLAIN_PATH.test(text)) throw refuse("use only letters, digits and . _ @ + - / in it");
  const path = posix.resolve(text);
  if (SHARED.has(path)) {
    throw refuse(`${path} belongs to the whole host; name a folder of its own below it`);
  }
  const kernelTree = KERNEL_TREES.find((tree) => path === tree || path.startsWith(`${tree}/`));
  if (kernelTree !== undefined) throw refuse(`${kernelTree} is the kernel's; name one on a disk`);
  return path;
}
