/** Whether other users of a host can read or change a file, by its mode (inode(7)). Pure. */

/** All permissions of the group and of others. */
const OTHERS = 0o077;

/** Their permission to write. */
const OTHERS_WRITE = 0o022;

/** In a folder with this bit nobody replaces another user's files, whoever may write there. */
const STICKY = 0o1000;

/** What `stat` says of a file; the mode is null on systems without one. */
export interface FileStatus {
  readonly mode: number | null;
  readonly isDirectory: boolean;
}

/** Whether other users may read or write a file. */
export function isOpen({ mode }: Pick<FileStatus, "mode">): boolean {
  return mode !== null && (mode & OTHERS) !== 0;
}

/** Whether other users may change a file, or replace the files of a folder. */
export function isChangeable({ mode, isDirectory }: FileStatus): boolean {
  if (mode === null || (mode & OTHERS_WRITE) === 0) return false;
  return !isDirectory || (mode & STICKY) === 0;
}
