/**
 * Writes docs/reference.md: every verb of worker-client with its options, made from the very
 * definitions that the program is made of, so that the two cannot differ.
 *
 * Usage: deno task reference
 */
import { join } from "node:path";
import { describeProgram } from "../client/program.ts";

const FILE = join(import.meta.dirname ?? ".", "..", "docs", "reference.md");

type Command = ReturnType<typeof describeProgram>;

/** The page's text. */
export function referenceText(): string {
  const program = describeProgram();
  const places = new Map<string, string>();
  const sections = [program, ...program.commands].map((command) => {
    const name = command === program ? command.name() : `${program.name()} ${command.name()}`;
    const help = sayOnce(helpOf(command).split("\n\n"), name, places).join("\n\n");
    return `## ${name}\n\n\`\`\`text\n${help}\n\`\`\`\n`;
  });
  return `# Reference of worker-client\n\nMade by \`deno task reference\`.\n\n${
    sections.join("\n")
  }`;
}

function helpOf(command: Command): string {
  let text = "";
  command.configureOutput({ writeOut: (part) => text += part });
  command.outputHelp();
  return text.split("\n").map((line) => line.trimEnd()).join("\n").trimEnd();
}

/**
 * Replaces groups of options that an earlier verb has by its name.
 *
 * @param places Where each group stands, by its words; groups that are new are added.
 */
function sayOnce(
  paragraphs: readonly string[],
  name: string,
  places: Map<string, string>,
): string[] {
  return paragraphs.map((paragraph) => {
    const [heading = "", ...options] = paragraph.split("\n");
    if (!/^[A-Z].*:$/.test(heading) || options.length < 2) return paragraph;
    // Columns are as wide as each verb's longest option.
    const words = paragraph.replaceAll(/\s+/g, " ");
    const place = places.get(words);
    if (place === undefined) places.set(words, name);
    return place === undefined ? paragraph : `${heading} as of "${place}"`;
  });
}

if (import.meta.main) await Deno.writeTextFile(FILE, referenceText());
