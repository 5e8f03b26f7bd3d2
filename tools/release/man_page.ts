/** Manual pages, made from the definitions that the programs' help is made of: man(7). Pure. */
import type { Argument, Command, Help, Option } from "commander";

/** What a page says of its program beyond the definition. */
export interface ManPage {
  /** 1: commands of users; 8: of administrators. */
  readonly section: 1 | 8;
  readonly version: string;
  /** When the program was made, as YYYY-MM-DD. */
  readonly date: string;
  /** Other pages, as `worker-client(1)`. */
  readonly seeAlso: readonly string[];
}

const MANUALS = { 1: "User Commands", 8: "System Administration" } as const;

/** The page of a program with all its verbs. */
export function manPage(program: Command, page: ManPage): string {
  const name = program.name();
  const help = program.createHelp();
  const verbs = verbsOf(program, help);
  return [
    `.TH ${name.toUpperCase()} ${page.section} ${page.date} "job-worker ${page.version}" ` +
    `"${MANUALS[page.section]}"`,
    // Options and ids are words that a hyphen would change.
    ".nh",
    ".ad l",
    ".SH NAME",
    `${escape(name)} \\- ${escape(summaryOf(program.description()))}`,
    ".SH SYNOPSIS",
    bold(help.commandUsage(program)),
    ".SH DESCRIPTION",
    escape(program.description()),
    ...list("OPTIONS", itemsOf(program, help)),
    ...(verbs.length === 0 ? [] : [".SH COMMANDS"]),
    ...verbs.flatMap((verb) => verbPart(verb, { help, known: namesOf(program) })),
    ...list("NOTES", afterText(program)),
    ".SH SEE ALSO",
    page.seeAlso.map((other) => escape(other)).join(",\n"),
    "",
  ].join("\n");
}

/** The sentence as whatis(1) has it: no capital letter, no full stop. */
function summaryOf(description: string): string {
  const [sentence = ""] = description.split(/\.(?:\s|$)/);
  return sentence.charAt(0).toLowerCase() + sentence.slice(1);
}

function verbsOf(command: Command, help: Help): Command[] {
  return help.visibleCommands(command).filter((verb) => verb.name() !== "help");
}

function namesOf(command: Command): ReadonlySet<string> {
  return new Set(command.options.map(({ flags }) => flags));
}

/** One verb, and those below it. Options that every verb has are said once, at the program. */
function verbPart(
  verb: Command,
  { help, known }: { help: Help; known: ReadonlySet<string> },
): string[] {
  return [
    ".SS",
    bold(help.commandUsage(verb)),
    ".PP",
    escape(verb.description()),
    ...itemsOf(verb, help, known),
    ...afterText(verb),
    ...verbsOf(verb, help).flatMap((below) => verbPart(below, { help, known })),
  ];
}

function list(heading: string, items: readonly string[]): string[] {
  return items.length === 0 ? [] : [`.SH ${heading}`, ...items];
}

function itemsOf(
  command: Command,
  help: Help,
  known: ReadonlySet<string> = new Set(),
): string[] {
  const item = (term: string, text: string) => [".TP", bold(term), escape(text)];
  const isNew = ({ flags, long }: Option) => !known.has(flags) && long !== "--help";
  return [
    ...help.visibleArguments(command).flatMap((argument: Argument) =>
      item(help.argumentTerm(argument), help.argumentDescription(argument))
    ),
    ...help.visibleOptions(command).filter(isNew).flatMap((option) =>
      item(help.optionTerm(option), help.optionDescription(option))
    ),
  ];
}

/** What the help has below the options: examples, exit statuses. */
function afterText(command: Command): string[] {
  let text = "";
  const before = command.helpInformation();
  const { writeOut, writeErr } = command.configureOutput();
  command.configureOutput({ writeOut: (part) => text += part, writeErr: (part) => text += part });
  command.outputHelp();
  command.configureOutput({
    ...writeOut === undefined ? {} : { writeOut },
    ...writeErr === undefined ? {} : { writeErr },
  });
  return text.slice(before.length).split(/\n{2,}/).map((part) => part.trimEnd())
    .filter((part) => part !== "").flatMap(paragraph);
}

/** Lines that are indented keep their form; the others are text. */
function paragraph(part: string): string[] {
  const lines = part.replace(/^\n/, "").split("\n");
  if (!lines.some((line) => line.startsWith(" "))) return [".PP", escape(lines.join("\n"))];
  return [".PP", ".nf", ...lines.map(escape), ".fi"];
}

function bold(text: string): string {
  return `\\fB${escape(text)}\\fR`;
}

const SPECIAL: Readonly<Record<string, string>> = {
  "\\": "\\e",
  "-": "\\-",
  "~": "\\(ti",
  "^": "\\(ha",
  "`": "\\(ga",
  "'": "\\(aq",
};

/** Characters that roff would take for something else, also at the beginning of a line. */
export function escape(text: string): string {
  return text.replace(/[\\~^`'-]/g, (character) => SPECIAL[character] ?? character)
    .replace(/^(?=\.)/gm, "\\&");
}
