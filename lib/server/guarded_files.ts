/** The files by which the server decides who may do what. */
import { join } from "node:path";
import type { GuardedFiles } from "../access/exposure.ts";
import { LIMIT_FILES } from "../limits.ts";
import { QUEUES_FILE } from "../limits/queue_file.ts";
import type { ServerConfig } from "./config.ts";

/** What only root may read, and what only root may change. */
export function guardedFiles(
  { key, ca, cert, crl, rules, userMap, limitsDir }: Pick<
    ServerConfig,
    "key" | "ca" | "cert" | "crl" | "rules" | "userMap" | "limitsDir"
  >,
): GuardedFiles {
  const limits = [...Object.values(LIMIT_FILES), QUEUES_FILE].map((name) => join(limitsDir, name));
  return {
    secret: [key],
    decisive: [ca, cert, crl, ...[rules, userMap].filter((file) => file !== ""), ...limits],
  };
}
