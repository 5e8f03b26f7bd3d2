/** Parsers of the values of worker-server's options. Each error says what is expected. */
import { InvalidArgumentError } from "commander";
import { isAbsolute, relative } from "node:path";
import { countWithin, parseBytes, parseDurationMs } from "../../common/quantities.ts";
import { parseUidRange } from "../model/owner_uids.ts";
import { isUserName, MAX_GRACE_MS } from "../model/settings.ts";
import { isRoleOid } from "../rbac.ts";
import { LOG_DIR } from "./build_info.ts";

/** With less, a job could not be started and watched at all. */
const MIN_KEPT_BYTES = 64 * 1024;

/** Every server needs more: with less it would exit after a few connections. */
const MIN_MEMORY_LIMIT_BYTES = 64 * 1024 ** 2;

/** More streams than one connection can use. */
const MAX_STREAMS = 1_000_000;

/** `HOST:PORT`, with an IPv6 address in brackets. */
export function checkAddress(address: string): string {
  const port = Number(/^(?:\[[0-9a-fA-F:.]+\]|[^:\s]+):(\d{1,5})$/.exec(address)?.[1]);
  if (port <= 65_535) return address;
  throw new InvalidArgumentError("Expected HOST:PORT, such as 0.0.0.0:50051 or [::]:50051.");
}

/** The log directory of the build, or a folder below it. */
export function checkLogDir(folder: string): string {
  const below = relative(LOG_DIR, folder);
  if (isAbsolute(folder) && below !== ".." && !below.startsWith("../")) return folder;
  throw new InvalidArgumentError(
    `This binary may write to ${LOG_DIR} and below only; another place is chosen when it is built.`,
  );
}

/** @returns Milliseconds. */
export function parseGraceMs(text: string): number {
  const graceMs = parseDurationMs(text);
  if (graceMs <= MAX_GRACE_MS) return graceMs;
  throw new InvalidArgumentError("Expected at most 1h.");
}

/** A count of 1 or more; Infinity for `max`. */
export function parseBound(text: string): number {
  if (text === "max") return Infinity;
  const count = countWithin(text, 1, Number.MAX_SAFE_INTEGER);
  if (count !== undefined) return count;
  throw new InvalidArgumentError('Expected a whole number, 1 or more, or "max" for no bound.');
}

/** HTTP/2 cannot express "no bound". */
export function parseStreams(text: string): number {
  const count = countWithin(text, 1, MAX_STREAMS);
  if (count !== undefined) return count;
  throw new InvalidArgumentError("Expected 1 to 1000000.");
}

/** How many bytes of a log are kept; Infinity for `max`. */
export function parseKeptBytes(text: string): number {
  if (text === "max") return Infinity;
  const bytes = parseBytes(text);
  if (bytes >= MIN_KEPT_BYTES) return bytes;
  throw new InvalidArgumentError("Expected 64K or more, or max.");
}

/** Bytes; Infinity for `max` and 0. */
export function parseMemoryLimitBytes(text: string): number {
  if (text === "max") return Infinity;
  const bytes = parseBytes(text);
  if (bytes === 0) return Infinity;
  if (bytes >= MIN_MEMORY_LIMIT_BYTES) return bytes;
  throw new InvalidArgumentError("Expected 64M or more, or max.");
}

/** No component may lead out of the hierarchy, or be confused with one of the kernel's files. */
export function checkGroup(group: string): string {
  if (
    group.split("/").every((name) =>
      /^[A-Za-z0-9_][A-Za-z0-9_@:-]*(\.(slice|service|scope))?$/.test(name)
    )
  ) {
    return group;
  }
  throw new InvalidArgumentError(
    "Expected a group such as job-worker or system.slice/job-worker.service.",
  );
}

/** The name of a user, who need not exist yet. */
export function checkUser(user: string): string {
  if (isUserName(user)) return user;
  throw new InvalidArgumentError("Expected the name of a user of this host, such as nobody.");
}

/** A range of uids, or nothing. */
export function checkOwnerUids(text: string): string {
  if (text === "" || parseUidRange(text) !== undefined) return text;
  throw new InvalidArgumentError(
    "Expected a range of uids from 65536 on, such as 700000-765535, that no user of this host has.",
  );
}

/** An OID that a role extension may have. */
export function checkOid(oid: string): string {
  if (isRoleOid(oid)) return oid;
  throw new InvalidArgumentError(
    "Expected an OID such as 1.2.840.10070.8.1, outside 2.5.29 and 1.3.6.1.5.5.7.1.",
  );
}
