/** How the config file and identities are read. The library also runs where there is no Deno. */
export interface Files {
  /** The text of a file; what it throws has the system's `code`, such as ENOENT. */
  readText(file: string): string;
  /** The names in a folder. */
  list(folder: string): string[];
}

/** The command line's: Deno's own functions need no module that has to be loaded. */
export const DENO_FILES: Files = {
  readText: (file) => Deno.readTextFileSync(file),
  list: (folder) => Array.from(Deno.readDirSync(folder), ({ name }) => name),
};

/** The system's code of an error of a file, on every runtime; undefined for any other error. */
export function codeOfFileError(error: unknown): string | undefined {
  const { code } = error instanceof Error ? error as { code?: unknown } : {};
  return typeof code === "string" ? code : undefined;
}
