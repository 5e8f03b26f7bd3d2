/** The settings that the server's systemd unit gives it, for `worker-server doctor` from a shell. */
import { messageOf } from "../errors.ts";
import { scripts } from "../shim/scripts.ts";
import { runScript } from "../shim/shell.ts";

/** The unit that deploy/install.sh installs. */
export const UNIT = "job-worker.service";

/** What the unit says. */
export interface UnitSettings {
  /** Environment variables of the server. */
  readonly variables: Readonly<Record<string, string>>;
  /** Files that some of them come from. */
  readonly files: readonly string[];
}

/**
 * Asks systemd for the unit's settings, and reads its files of variables.
 *
 * @returns Undefined where there is no such unit.
 * @throws {Error} A file cannot be read; the message names it.
 */
export async function readUnitSettings(): Promise<UnitSettings | undefined> {
  const unit = parseUnit(await runScript(scripts.unit, [UNIT]));
  if (unit === undefined) return undefined;
  const files: string[] = [];
  let variables = unit.variables;
  for (const { file, mayBeMissing } of unit.files) {
    try {
      // A file goes before Environment=, and a later one before an earlier one (systemd.exec(5)).
      variables = { ...variables, ...parseEnvironmentFile(await Deno.readTextFile(file)) };
      files.push(file);
    } catch (error) {
      if (mayBeMissing && error instanceof Deno.errors.NotFound) continue;
      throw new Error(`cannot read ${file}, a file of ${UNIT}: ${messageOf(error)}; run as root`, {
        cause: error,
      });
    }
  }
  return { variables, files };
}

/** What `systemctl show` prints, without the content of the files. */
export interface ShownUnit {
  readonly variables: Readonly<Record<string, string>>;
  readonly files: readonly { readonly file: string; readonly mayBeMissing: boolean }[];
}

/** Parses what `systemctl show` prints; undefined: there is no such unit. */
export function parseUnit(text: string): ShownUnit | undefined {
  const lines = text.split("\n");
  if (!lines.includes("LoadState=loaded")) return undefined;
  const valuesOf = (property: string) =>
    lines.filter((line) => line.startsWith(`${property}=`))
      .map((line) => line.slice(property.length + 1));
  return {
    variables: toVariables(valuesOf("Environment").flatMap(splitWords)),
    files: valuesOf("EnvironmentFiles").flatMap((value) => {
      const [, file, ignored] = /^(\/.*?)(?: \(ignore_errors=(yes|no)\))?$/.exec(value) ?? [];
      return file === undefined ? [] : [{ file, mayBeMissing: ignored === "yes" }];
    }),
  };
}

/**
 * Parses a file of variables as systemd does: `NAME=VALUE`, comments with `#` or `;`, values in quotes,
 * and lines that a backslash continues.
 */
export function parseEnvironmentFile(text: string): Record<string, string> {
  const lines = text.replaceAll(/\\\r?\n/g, "").split(/\r?\n/);
  return toVariables(
    lines.map((line) => line.trim()).filter((line) => !/^([#;]|$)/.test(line)).map(unquoted),
  );
}

function toVariables(assignments: readonly string[]): Record<string, string> {
  return Object.fromEntries(assignments.flatMap((text) => {
    const index = text.indexOf("=");
    return index > 0 ? [[text.slice(0, index).trim(), text.slice(index + 1)]] : [];
  }));
}

/** `NAME="a b"` without its quotes. */
function unquoted(line: string): string {
  const [, name, quoted] = /^([^=]+=)\s*(.*)$/.exec(line) ?? [];
  return name === undefined ? line : name + withoutQuotes(quoted ?? "");
}

/** Words that blanks separate; a word with blanks is in double quotes. */
function splitWords(text: string): string[] {
  return (text.match(/"(?:\\.|[^"\\])*"|\S+/g) ?? []).map(withoutQuotes);
}

function withoutQuotes(text: string): string {
  const [, single] = /^'(.*)'$/.exec(text) ?? [];
  if (single !== undefined) return single;
  const [, double] = /^"(.*)"$/.exec(text) ?? [];
  return double === undefined ? text : double.replaceAll(/\\(.)/g, "$1");
}
