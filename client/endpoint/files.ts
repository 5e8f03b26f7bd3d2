/** How the config file and identities are read. The library also runs where there is no Deno. */
export interface Files {
  /** The text of a file; what it throws has the system's `code`, such as ENOENT. */
  readText(file: string): string;
  /** The names in a folder. */
  list(folder: string): string[];
}

/** The command line's: Deno's own functions need no module that has to be loaded. */
export const DENO_FILES: Files = {
  readText: (file) => file === "/dev/stdin" ? readInput() : Deno.readTextFileSync(file),
  list: (folder) => Array.from(Deno.readDirSync(folder), ({ name }) => name),
};

/** Standard input to its end: the runtime does not open its name. */
function readInput(): string {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(64 * 1024);
  let text = "";
  for (;;) {
    const length = Deno.stdin.readSync(buffer);
    if (length === null) return text + decoder.decode();
    text += decoder.decode(buffer.subarray(0, length), { stream: true });
  }
}

/** The system's code of an error of a file, on every runtime; undefined for any other error. */
export function codeOfFileError(error: unknown): string | undefined {
  const { code } = error instanceof Error ? error as { code?: unknown } : {};
  return typeof code === "string" ? code : undefined;
}
