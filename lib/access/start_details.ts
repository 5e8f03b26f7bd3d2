/** What the audit trail keeps of a Start. Pure. */
import { createHash } from "node:crypto";
import type { JobRequest } from "../model/request.ts";
import { userText } from "../model/settings.ts";
import type { ChangeDetails } from "./events.ts";

/** Characters of the program's path that are kept. */
const MAX_PROGRAM_CHARACTERS = 256;

/** The program, its user, and a digest by which arguments that are known can be recognized. */
export function startDetails(
  { command: { name, args }, settings }: JobRequest,
): ChangeDetails {
  const digest = createHash("sha256");
  // An argument has no NUL byte: no two lists of arguments have the same bytes.
  for (const argument of args) digest.update(`${argument}\0`);
  return {
    program: name.slice(0, MAX_PROGRAM_CHARACTERS),
    user: userText(settings),
    argumentsDigest: digest.digest("hex"),
  };
}
