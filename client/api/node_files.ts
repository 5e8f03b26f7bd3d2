import { readdirSync, readFileSync } from "node:fs";
import type { Files } from "../endpoint/files.ts";

/** Files by node:fs, which all runtimes have. */
export const NODE_FILES: Files = {
  readText: (file) => readFileSync(file, "utf8"),
  list: (folder) => readdirSync(folder),
};
