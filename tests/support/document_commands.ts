/** Reads what documents show: fenced blocks, the commands in them, links and anchors. Pure. */

/** A fenced block of a document. */
export interface Block {
  /** The word after the fence: `sh`, `console`, `text`; empty where nothing does. */
  readonly language: string;
  readonly text: string;
  /** The line of the document on which the text begins, counted from 1. */
  readonly line: number;
  /** Why it is not run, by the comment `<!-- not run: REASON -->` before it. */
  readonly notRun: string | undefined;
}

/** A command of a `console` block, and what it is shown to print. */
export interface Step {
  readonly command: string;
  readonly output: readonly string[];
}

/** Options of a program or a verb by name; true where a value follows. */
export type Options = ReadonlyMap<string, boolean>;

/** What a program understands, as its help says. */
export interface Usage {
  /** Options that may stand before the verb, or without one. */
  readonly options: Options;
  readonly verbs: ReadonlyMap<string, Options>;
  /** Verbs whose first argument is a program: what follows it is the program's. */
  readonly runners: ReadonlySet<string>;
}

const FENCE = /^( *)```(\S*) *$/;
const MARK = /^<!-- not run: (.+) -->$/;
const OURS = /^(?:\S*\/)?(worker-(?:client|server|certs))$/;

/** The fenced blocks of a document, in order. */
export function blocksOf(markdown: string): Block[] {
  const blocks: Block[] = [];
  const lines = markdown.split("\n");
  for (let at = 0; at < lines.length; at++) {
    const open = FENCE.exec(lines[at] ?? "");
    if (open === null) continue;
    const end = lines.findIndex((line, index) => index > at && line.trim() === "```");
    if (end === -1) throw new Error(`the fence of line ${at + 1} is never closed`);
    const indent = open[1]?.length ?? 0;
    const text = lines.slice(at + 1, end).map((line) => `${line.slice(indent)}\n`).join("");
    const before = lines.slice(0, at).findLast((line) => line.trim() !== "") ?? "";
    blocks.push({
      language: open[2] ?? "",
      text,
      line: at + 2,
      notRun: MARK.exec(before.trim())?.[1],
    });
    at = end;
  }
  return blocks;
}

/** A document without its fenced blocks. */
export function proseOf(markdown: string): string {
  let isFenced = false;
  return markdown.split("\n").filter((line) => {
    if (!line.trim().startsWith("```")) return !isFenced;
    isFenced = !isFenced;
    return false;
  }).join("\n");
}

/** The commands of a `console` block: lines that begin with `$ `, each with the lines below it. */
export function stepsOf(text: string): Step[] {
  const steps: { command: string; output: string[] }[] = [];
  for (const line of text.trimEnd().split("\n")) {
    if (line.startsWith("$ ")) steps.push({ command: line.slice(2), output: [] });
    else if (steps.length > 0) steps.at(-1)?.output.push(line);
    else throw new Error(`a console block begins with a command, not with "${line}"`);
  }
  return steps;
}

/** The words of each simple command of a script; redirections and comments are left out. */
export function commandsOf(script: string): string[][] {
  const commands: string[][] = [[]];
  // In this order: what is skipped, redirections, ends of commands, and words with their quotes.
  const token =
    /(\\\n|[ \t]+)|((?<=^|\s)#[^\n]*)|(\d*[<>]+&?[ \t]*(?:"[^"]*"|'[^']*'|[^\s;&|()<>"']+))|([\n;&|()]+)|((?:\$\([^()]*\)|"(?:\\.|[^"\\])*"|'[^']*'|\\.|[^\s;&|()<>"'\\])+)/gs;
  for (const [, , , , end, word] of script.matchAll(token)) {
    if (end !== undefined) commands.push([]);
    if (word === undefined) continue;
    commands.at(-1)?.push(unquote(word));
    // What stands in $( ) is a command of its own, besides being a part of the word.
    for (const [, inner = ""] of word.matchAll(/\$\(([^()]*)\)/g)) {
      commands.splice(-1, 0, ...commandsOf(inner));
    }
  }
  return commands.filter((words) => words.length > 0);
}

function unquote(word: string): string {
  return word.replace(
    /"((?:\\.|[^"\\])*)"|'([^']*)'|\\(.)/gs,
    (_, double?: string, single?: string, plain?: string) =>
      double?.replace(/\\(["\\$`])/g, "$1") ?? single ?? plain ?? "",
  );
}

/** The calls of our programs in a script: the program's name and its arguments. */
export function callsOf(script: string): { program: string; args: string[] }[] {
  return commandsOf(script).flatMap((words) => {
    const at = words.findIndex((word) => OURS.test(word));
    const program = OURS.exec(words[at] ?? "")?.[1];
    return program === undefined ? [] : [{ program, args: words.slice(at + 1) }];
  });
}

/** Calls of our programs in the text of a document, but those that stand for any: `VERB`. */
export function spansOf(markdown: string): string[] {
  return [...proseOf(markdown).matchAll(/`(worker-(?:client|server|certs)\s[^`]+)`/g)]
    .map(([, span = ""]) => span.replace(/\s+/g, " "))
    .filter((span) => !/^\S+ [A-Z]/.test(span));
}

/** The options in a help text: `  -i, --identity <file>  what it is`. */
export function optionsIn(help: string): Options {
  const options = new Map<string, boolean>();
  for (const [, short, long = "", value] of help.matchAll(/^ +(?:(-\w), )?(--[\w-]+)( <\S+)?/gm)) {
    options.set(long, value !== undefined);
    if (short !== undefined) options.set(short, value !== undefined);
  }
  return options;
}

/** The verbs in a program's help text: the first word of each entry below "Commands:". */
export function verbsIn(help: string): string[] {
  const [, list = ""] = /^Commands:\n((?:[ ].*\n)+)/m.exec(help) ?? [];
  return [...list.matchAll(/^ {2}(\S+)/gm)].flatMap(([, names = ""]) => names.split("|"));
}

/** What is wrong with a call, if its program does not know it. */
export function misuseOf(args: readonly string[], usage: Usage): string | undefined {
  const rest = [...args];
  let options = usage.options;
  let verb: string | undefined;
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (word === "--") return undefined;
    if (word.startsWith("-") && word !== "-") {
      const [name = "", value] = word.split("=", 2);
      const takesValue = options.get(name) ?? usage.options.get(name);
      if (takesValue === undefined) return `${verb ?? "the program"} has no option ${name}`;
      if (takesValue && value === undefined) rest.shift();
    } else if (verb === undefined) {
      verb = word;
      const known = usage.verbs.get(verb);
      if (known === undefined) return `there is no verb ${verb}`;
      options = known;
    } else if (usage.runners.has(verb)) {
      return undefined;
    }
  }
  return undefined;
}

/** Where the links of a document lead, apart from those to other hosts. */
export function linksOf(markdown: string): string[] {
  const prose = proseOf(markdown).replace(/`[^`]*`/g, "");
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = ""]) => target)
    .filter((target) => !/^\w+:/.test(target));
}

/** The anchors that a document's headings make. */
export function anchorsOf(markdown: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading = ""] of proseOf(markdown).matchAll(/^#{1,6} (.+)$/gm)) {
    const slug = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "").trim().replaceAll(" ", "-");
    let anchor = slug;
    for (let count = 1; anchors.has(anchor); count++) anchor = `${slug}-${count}`;
    anchors.add(anchor);
  }
  return anchors;
}

/** The messages in the first column of the table below the heading "Trouble". */
export function messagesOf(markdown: string): string[] {
  const [, table = ""] = /^## Trouble\n([^]*?)(?:\n## |$(?![^]))/m.exec(markdown) ?? [];
  const cells = [...table.matchAll(/^\| ([^|]*`[^|]*)\|/gm)].map(([, cell = ""]) => cell);
  return cells.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, text = ""]) => text));
}

/** The tasks of deno.json that a document names: `deno task NAME`. */
export function tasksOf(markdown: string): Set<string> {
  const named = markdown.matchAll(/\bdeno(?:@[\d.]+)?\s+task ([a-z][a-z:]*)/g);
  return new Set([...named].map(([, name = ""]) => name));
}

/** The cells of each row of a document's tables, headings included. */
export function tableRowsOf(markdown: string): string[][] {
  return proseOf(markdown).split("\n")
    .filter((line) => /^\|.*\|$/.test(line) && !/^\|[\s:|-]+\|$/.test(line))
    .map((line) => line.slice(1, -1).split(/(?<!\\)\|/).map((cell) => cell.trim()));
}

/** The code spans of a text: what stands between single backquotes. */
export function codeSpansOf(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map(([, span = ""]) => span);
}
