/** Parsers of the command line's values. Every error says what to do. */
import { isIP } from "node:net";
import { isRoleOid, parseRoles, type Role, RoleError, ROLES } from "../lib/tls/role.ts";
import { CertsError } from "./errors.ts";

/** A name a server certificate is valid for. */
export interface ServerName {
  readonly type: "dns" | "ip";
  readonly value: string;
}

/** RFC 5280, appendix A: ub-common-name. */
const NAME_LIMIT_CHARACTERS = 64;

/** The CA's own files. */
const RESERVED_NAME = "ca";

/** 30 years: longer than RSA 4096 is expected to be secure; more is a typing error. */
const DAYS_LIMIT = 10_957;

/** RFC 1035, 2.3.4, without the final dot. */
const HOST_NAME_LIMIT_CHARACTERS = 253;

/** More names make handshakes slow, and are probably a mistake. */
const SERVER_NAMES_LIMIT = 100;

const HOST_LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * Reads the name of a certificate, which becomes its common name and the name of its files.
 *
 * @throws {CertsError} when it is not a safe file name, is too long, or is the CA's own
 */
export function parseName(text: string): string {
  const quoted = JSON.stringify(text);
  if (text.length > NAME_LIMIT_CHARACTERS) {
    throw usage(`name is too long: at most ${NAME_LIMIT_CHARACTERS} characters`);
  }
  if (!/^[A-Za-z0-9_][A-Za-z0-9._@+-]*$/.test(text)) {
    throw usage(
      `cannot use the name ${quoted}: it becomes a file name; use letters, digits and . _ @ + -, ` +
        "beginning with a letter, a digit or _",
    );
  }
  if (text.toLowerCase() === RESERVED_NAME) {
    throw usage(`cannot use the name ${quoted}: these files are the CA's; choose another one`);
  }
  return text;
}

/**
 * Reads the common name of a CA. It is shown and compared, and never a file name.
 *
 * @throws {CertsError} when it is empty, too long, or has characters that cannot be shown
 */
export function parseCommonName(text: string): string {
  const length = [...text].length;
  if (length < 1 || length > NAME_LIMIT_CHARACTERS || text.trim() !== text) {
    throw usage(
      `cannot use the CA name ${JSON.stringify(text)}: ` +
        `use 1 to ${NAME_LIMIT_CHARACTERS} characters, no blanks at the ends`,
    );
  }
  if (/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u.test(text)) {
    throw usage("cannot use this CA name: it has characters that cannot be shown");
  }
  return text;
}

/**
 * Reads a lifetime in days, a whole number.
 *
 * @throws {CertsError} when it is not a number from 1 to 30 years
 */
export function parseDays(text: string): number {
  const days = /^[0-9]{1,9}$/.test(text) ? Number(text) : 0;
  if (days < 1 || days > DAYS_LIMIT) {
    throw usage(
      `cannot use --days ${JSON.stringify(text)}: use a whole number from 1 to ${DAYS_LIMIT}`,
    );
  }
  return days;
}

/**
 * Reads roles from an option that may be repeated and hold several, separated by commas.
 *
 * @throws {CertsError} when one of them does not exist
 */
export function parseRoleOption(texts: readonly string[]): Role[] {
  try {
    return parseRoles(texts.join(","));
  } catch (error) {
    if (!(error instanceof RoleError)) throw error;
    throw usage(
      `cannot use --role ${JSON.stringify(texts.join(","))}: ${error.message}; ` +
        `roles are ${ROLES.join(" and ")}, separated by commas, no blanks`,
    );
  }
}

/**
 * Reads the OID of the role extension.
 *
 * @throws {CertsError} when it is malformed or belongs to a standard
 */
export function parseOid(text: string): string {
  if (isRoleOid(text)) return text;
  throw usage(
    `cannot use --oid ${JSON.stringify(text)}: use numbers with dots between, ` +
      "such as 1.2.840.10070.8.1, outside 2.5.29 and 1.3.6.1.5.5.7.1",
  );
}

/**
 * Reads the names of a server from an option that may be repeated and hold several, separated by
 * commas: host names (the first label may be `*`), IPv4 and IPv6 addresses.
 *
 * @returns the names in their order, each once, host names in lower case
 * @throws {CertsError} when one is malformed, or there are more than 100
 */
export function parseServerNames(texts: readonly string[]): ServerName[] {
  const names = new Map<string, ServerName>();
  for (const item of texts.join(",").split(",")) {
    const name = parseServerName(item.trim());
    names.set(name.value, name);
  }
  if (names.size > SERVER_NAMES_LIMIT) {
    throw usage(`cannot use ${names.size} names in --san: at most ${SERVER_NAMES_LIMIT}`);
  }
  return [...names.values()];
}

function parseServerName(text: string): ServerName {
  if (isIP(text) === 4) return { type: "ip", value: text };
  if (isIP(text) === 6 && !text.includes("%")) return { type: "ip", value: shortAddress(text) };
  const host = text.toLowerCase();
  const labels = host.split(".");
  const last = labels.at(-1) ?? "";
  const plain = labels[0] === "*" && labels.length > 2 ? labels.slice(1) : labels;
  const isHost = host.length <= HOST_NAME_LIMIT_CHARACTERS &&
    plain.every((label) => HOST_LABEL.test(label)) && !/^[0-9]+$/.test(last);
  if (isHost) return { type: "dns", value: host };
  throw usage(
    `cannot use ${JSON.stringify(text)} in --san: use host names or IP addresses, ` +
      "separated by commas, without port, brackets or scheme",
  );
}

/** The shortest form (RFC 5952): the X.509 library misreads an IPv4 address within an IPv6 one. */
function shortAddress(address: string): string {
  return new URL(`http://[${address}]`).hostname.slice(1, -1);
}

function usage(message: string): CertsError {
  return new CertsError("usage", message);
}
