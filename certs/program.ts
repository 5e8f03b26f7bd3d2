/** The command line: verbs, options, help. Each verb has a file of its name. */
import { Command, CommanderError, Option } from "commander";
import config from "../deno.json" with { type: "json" };
import { DEFAULT_ROLE_OID, ROLES } from "../lib/tls/role.ts";
import {
  parseCommonName,
  parseDays,
  parseName,
  parseOid,
  parseRoleOption,
  parseServerNames,
} from "./arguments.ts";
import type { Purpose } from "./certificate.ts";
import { CertsError } from "./errors.ts";
import { findExposed } from "./exposed.ts";
import { AUTHORITY_DAYS, AUTHORITY_NAME, init } from "./init.ts";
import { issue, LEAF_DAYS } from "./issue.ts";
import { listIssued, renderList } from "./list.ts";
import { renew } from "./renew.ts";
import { type Reason, REASONS } from "./revocation_list.ts";
import { LIST_DAYS, revoke } from "./revoke.ts";
import { describeFile, type FileDescription, renderJson, renderText } from "./show.ts";

/** Where text goes, and what the program is told besides its arguments. */
export interface Output {
  /** Results. */
  readonly out: (text: string) => void;
  /** Errors and help on wrong use. */
  readonly err: (text: string) => void;
  /** Progress, for a person who waits at a terminal. */
  readonly progress: (text: string) => void;
  /** The value of an environment variable; undefined or empty: it is not set. */
  readonly environment: (name: string) => string | undefined;
}

/** The width of help on every terminal, so that its text is always the same. */
const HELP_WIDTH_CHARACTERS = 100;

const WAITING = "Making an RSA key of 4096 bits, which takes some seconds ...\n";

const EXIT_STATUS = { ok: 0, failure: 1, usage: 2 } as const;

const EXAMPLES = `
Examples:
  worker-certs init
  worker-certs issue --name server --server --san localhost,127.0.0.1
  worker-certs issue --name alice --role writer --bundle
  worker-certs renew --name alice
  worker-certs revoke --dir /srv/pki bob
  JOB_WORKER_CERTS_DIR=/srv/pki worker-certs list
  worker-certs show pki/alice.pem

Exit status: 0 done, 1 failed, 2 wrong use.`;

const INIT_EXAMPLES = `
Writes ca.crt, which every server and client trusts, and ca.key, which never leaves this folder.
With --key, ca.key is a copy of FILE: a private key in PEM, RSA of 4096 to 8192 bits, without a
passphrase.

Examples:
  worker-certs init --dir pki
  worker-certs init --dir pki --name "Example CA" --days 1826
  worker-certs init --dir pki --key ca-key.pem`;

const ISSUE_EXAMPLES = `
Writes NAME.crt and NAME.key beside the CA, with --bundle also NAME.pem: key, certificate and CA
in one file, all that a client needs. A certificate never outlives its CA.

With --key, the certificate is for the private key in FILE (PEM, RSA of 4096 to 8192 bits, without
a passphrase). The key stays where it is: NAME.key is not written, and only --bundle copies the key.
To renew such a certificate, issue it again with --key and --force.

Examples:
  worker-certs issue --dir pki --name alice --role writer --bundle
  worker-certs issue --dir pki --name monitor --role reader --days 30
  worker-certs issue --dir pki --name alice --role writer --key alice-key.pem
  worker-certs issue --dir pki --name server --server --san worker1.example.com,10.0.0.7,::1`;

const RENEW_EXAMPLES = `
Takes name, roles and server names from NAME.crt, and replaces NAME.crt, NAME.key and, where there
is one, NAME.pem. The previous certificate stays valid until it expires, unless it is revoked.
Servers load a new certificate in their files by themselves.

Examples:
  worker-certs renew --dir pki --name alice
  worker-certs renew --dir pki --name server --keep-key
  worker-certs renew --dir pki --name bob --revoke-old`;

const REVOKE_EXAMPLES = `
A CERTIFICATE is a name (all valid ones that were issued for it), a serial number, or a file.
Writes ca.crl beside the CA; without CERTIFICATE it only makes a new list, for another year.
Servers that have the list end the streams of revoked clients within seconds.

Examples:
  worker-certs revoke --dir pki bob
  worker-certs revoke --dir pki --reason keyCompromise laptop.pem
  worker-certs revoke --dir pki`;

const LIST_EXAMPLES = `
"expiring" means: expires within 30 days.

Examples:
  worker-certs list --dir pki
  worker-certs list --dir pki --json`;

const SHOW_EXAMPLES = `
A FILE is PEM or DER and may hold several certificates and a private key, or a revocation list.

Examples:
  worker-certs show pki/alice.crt
  worker-certs show pki/ca.crl
  worker-certs show --json pki/*.crt`;

/**
 * Runs the tool.
 *
 * @param args the words after the program's name
 * @returns the exit status: 0 done, 1 failed, 2 wrong use
 */
export async function run(args: readonly string[], output: Output): Promise<number> {
  try {
    await makeProgram(output).parseAsync([...args], { from: "user" });
    return EXIT_STATUS.ok;
  } catch (error) {
    if (error instanceof CommanderError) {
      return error.exitCode === 0 ? EXIT_STATUS.ok : EXIT_STATUS.usage;
    }
    if (!(error instanceof CertsError)) throw error;
    reportError(error.message, output);
    return EXIT_STATUS[error.kind];
  }
}

/** The command line's definition, for what is made of it: its manual page. */
export function describeCerts(): Command {
  return makeProgram({
    out: () => {},
    err: () => {},
    progress: () => {},
    environment: () => undefined,
  });
}

function makeProgram(output: Output): Command {
  const program = new Command("worker-certs")
    .description(
      "Makes the private CA of a job worker, and the certificates of its servers and clients.",
    )
    .version(config.version)
    .helpOption("-h, --help", "print this help")
    .helpCommand("help [verb]", "print the help of a verb")
    .addHelpText("after", EXAMPLES)
    .exitOverride()
    .configureOutput({
      writeOut: output.out,
      writeErr: output.err,
      // Commander says "error: …", sometimes with a hint on a second line.
      outputError: (text, write) =>
        write(
          `worker-certs: ${text.replace(/^error: /, "").trim().replaceAll(/\s*\n\s*/g, " ")}\n`,
        ),
      getOutHelpWidth: () => HELP_WIDTH_CHARACTERS,
      getErrHelpWidth: () => HELP_WIDTH_CHARACTERS,
      // Commander would look into the environment, which this program may not read.
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    });
  addInit(program, output);
  addIssue(program, output);
  addRenew(program, output);
  addRevoke(program, output);
  addList(program, output);
  addShow(program, output);
  return program;
}

/** The options of `init` as they are typed. */
interface InitArguments {
  readonly dir: string;
  readonly name: string;
  readonly days: string;
  readonly key?: string;
  readonly force?: true;
}

function addInit(program: Command, output: Output): void {
  program.command("init")
    .description("make a CA")
    .addOption(folderOption("where the CA goes; made when it does not exist", output))
    .option("--name <name>", "the CA's common name", AUTHORITY_NAME)
    .option("--days <n>", "how long it is valid", String(AUTHORITY_DAYS))
    .option("--key <file>", "an existing private key to use instead of a new one")
    .option("--force", "replace an existing CA")
    .addHelpText("after", INIT_EXAMPLES)
    .action(async (options: InitArguments) => {
      const text = await init({
        dir: parseFolder(options.dir),
        commonName: parseCommonName(options.name),
        days: parseDays(options.days),
        force: options.force ?? false,
        keyFile: options.key ?? null,
        now: new Date(),
        onKey: () => output.progress(WAITING),
      });
      output.out(text);
      await warnExposed(options.dir, output);
    });
}

/** The options of `issue` as they are typed. */
interface IssueArguments {
  readonly dir: string;
  readonly name: string;
  readonly role?: string[];
  readonly server?: true;
  readonly san?: string[];
  readonly days?: string;
  readonly key?: string;
  readonly bundle?: true;
  readonly force?: true;
  readonly oid?: string;
}

function addIssue(program: Command, output: Output): void {
  program.command("issue")
    .description("make the key and the certificate of a client or a server")
    .addOption(folderOption("the folder of the CA, and of the new files", output))
    .requiredOption("--name <name>", "the common name, and the name of the files")
    .addOption(repeated("--role <roles>", `for a client: ${ROLES.join(" or ")}, or both`))
    .option("--server", "for a server instead of a client")
    .addOption(repeated("--san <names>", "for a server: its host names and IP addresses"))
    .option(
      "--days <n>",
      `how long it is valid (default: ${LEAF_DAYS}, at most until the CA expires)`,
    )
    .option("--key <file>", "an existing private key to use instead of a new one")
    .option("--bundle", "write NAME.pem as well: key, certificate and CA in one file")
    .option("--force", "replace existing files")
    .option("--oid <oid>", `OID of the role extension (default: ${DEFAULT_ROLE_OID})`)
    .addHelpText("after", ISSUE_EXAMPLES)
    .action(async (options: IssueArguments) => {
      const text = await issue({
        dir: parseFolder(options.dir),
        name: parseName(options.name),
        purpose: purposeOf(options),
        days: options.days === undefined ? null : parseDays(options.days),
        bundle: options.bundle ?? false,
        force: options.force ?? false,
        now: new Date(),
        onKey: () => output.progress(WAITING),
        key: options.key === undefined
          ? { kind: "generated" }
          : { kind: "given", file: options.key },
      });
      output.out(text);
      await warnExposed(options.dir, output);
    });
}

/** The options of `renew` as they are typed. */
interface RenewArguments {
  readonly dir: string;
  readonly name: string;
  readonly days?: string;
  readonly keepKey?: true;
  readonly revokeOld?: true;
  readonly oid: string;
}

function addRenew(program: Command, output: Output): void {
  program.command("renew")
    .description("make a certificate again, with a later expiry")
    .addOption(folderOption("the folder of the CA and of the certificate", output))
    .requiredOption("--name <name>", "the name it was issued for")
    .option(
      "--days <n>",
      `how long it is valid (default: ${LEAF_DAYS}, at most until the CA expires)`,
    )
    .option("--keep-key", "keep its key instead of making a new one")
    .option("--revoke-old", "revoke the certificate that is replaced")
    .option("--oid <oid>", "OID of the role extension", DEFAULT_ROLE_OID)
    .addHelpText("after", RENEW_EXAMPLES)
    .action(async (options: RenewArguments) => {
      const text = await renew({
        dir: parseFolder(options.dir),
        name: parseName(options.name),
        days: options.days === undefined ? null : parseDays(options.days),
        roleOid: parseOid(options.oid),
        keepKey: options.keepKey ?? false,
        revokeOld: options.revokeOld ?? false,
        now: new Date(),
        onKey: () => output.progress(WAITING),
      });
      output.out(text);
      await warnExposed(options.dir, output);
    });
}

/** The options of `revoke` as they are typed. */
interface RevokeArguments {
  readonly dir: string;
  readonly reason?: Reason;
  readonly days: string;
}

function addRevoke(program: Command, output: Output): void {
  program.command("revoke")
    .description("revoke certificates: write the list of revoked ones")
    .argument("[certificate...]", "names, serial numbers or files of certificates")
    .addOption(folderOption("the folder of the CA, and of the list", output))
    .addOption(new Option("--reason <reason>", "the reason that the list gives").choices(REASONS))
    .option("--days <n>", "when the next list is due", String(LIST_DAYS))
    .addHelpText("after", REVOKE_EXAMPLES)
    .action(async (targets: string[], options: RevokeArguments) => {
      const text = await revoke({
        dir: parseFolder(options.dir),
        targets,
        reason: options.reason,
        days: parseDays(options.days),
        now: new Date(),
      });
      output.out(text);
      await warnExposed(options.dir, output);
    });
}

function addList(program: Command, output: Output): void {
  program.command("list")
    .description("list what the CA has issued, and what of it is expiring or revoked")
    .addOption(folderOption("the folder of the CA", output))
    .option("--json", "for programs: a JSON array, one element a certificate")
    .option("--oid <oid>", "OID of the role extension", DEFAULT_ROLE_OID)
    .addHelpText("after", LIST_EXAMPLES)
    .action(async (options: { dir: string; json?: true; oid: string }) => {
      const certificates = await listIssued(parseFolder(options.dir), {
        oid: parseOid(options.oid),
        now: new Date(),
      });
      output.out(
        options.json === true
          ? `${JSON.stringify(certificates, null, 2)}\n`
          : renderList(certificates),
      );
      await warnExposed(options.dir, output);
    });
}

function addShow(program: Command, output: Output): void {
  program.command("show")
    .description("describe certificate files")
    .argument("<file...>", "certificates, or bundles of them")
    .option("--json", "for programs: a JSON array, one element a file")
    .option("--oid <oid>", "OID of the role extension", DEFAULT_ROLE_OID)
    .addHelpText("after", SHOW_EXAMPLES)
    .action(async (files: string[], options: { json?: true; oid: string }) => {
      const now = new Date();
      const oid = parseOid(options.oid);
      const shown: FileDescription[] = [];
      const failed: CertsError[] = [];
      for (const file of files) {
        try {
          shown.push(await describeFile(file, { oid, now }));
        } catch (error) {
          if (!(error instanceof CertsError)) throw error;
          failed.push(error);
        }
      }
      output.out(options.json === true ? renderJson(shown) : renderText(shown, now));
      // All but the last are said here; the last one goes the way of every error.
      for (const error of failed.slice(0, -1)) reportError(error.message, output);
      const last = failed.at(-1);
      if (last !== undefined) throw last;
    });
}

/** Tells what of the CA's folder other users can read or change. */
async function warnExposed(dir: string, output: Output): Promise<void> {
  for (const problem of await findExposed(dir)) reportError(`warning: ${problem}`, output);
}

/** Errors are one line each, whatever a file is called. */
function reportError(message: string, output: Output): void {
  output.err(`worker-certs: ${message.trim().replaceAll(/\s*[\r\n]+\s*/g, " ")}\n`);
}

function repeated(flags: string, description: string): Option {
  return new Option(flags, description)
    .argParser((text: string, earlier: string[] = []) => [...earlier, text]);
}

/** Names the folder of the CA where `--dir` does not. */
const FOLDER_VARIABLE = "JOB_WORKER_CERTS_DIR";

/** The folder where nothing names one. */
const DEFAULT_FOLDER = "pki";

function folderOption(description: string, { environment }: Output): Option {
  return new Option("--dir <folder>", description)
    .default(
      environment(FOLDER_VARIABLE) || DEFAULT_FOLDER,
      `$${FOLDER_VARIABLE}, or ${DEFAULT_FOLDER}`,
    );
}

function parseFolder(text: string): string {
  if (text !== "") return text;
  throw new CertsError("usage", "cannot use an empty --dir: name a folder, . for this one");
}

function purposeOf({ server, role, san, oid }: IssueArguments): Purpose {
  if (server === true) {
    if (role !== undefined || oid !== undefined) {
      throw new CertsError(
        "usage",
        "cannot give a server a role: leave out --role and --oid, or --server",
      );
    }
    if (san === undefined) {
      throw new CertsError(
        "usage",
        "cannot issue a server certificate without names: " +
          "add --san with the host names and IP addresses clients connect to",
      );
    }
    return { kind: "server", names: parseServerNames(san) };
  }
  if (san !== undefined) {
    throw new CertsError("usage", "cannot use --san for a client: leave it out, or add --server");
  }
  if (role === undefined) {
    throw new CertsError(
      "usage",
      "cannot issue a client certificate without a role: " +
        "add --role reader or --role writer, or --server for a server",
    );
  }
  const roleOid = oid === undefined ? DEFAULT_ROLE_OID : parseOid(oid);
  return { kind: "client", roles: parseRoleOption(role), roleOid };
}
