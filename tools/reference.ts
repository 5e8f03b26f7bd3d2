/**
 * Writes docs/reference.md: every verb of worker-client with its options, made from the very
 * definitions that the program is made of, so that the two cannot differ.
 *
 * Usage: deno task reference
 */
import { join } from "node:path";
import { describeProgram } from "../client/program.ts";

const FILE = join(import.meta.dirname ?? ".", "..", "docs", "reference.md");

/** The page's text. */
export function referenceText(): string {
  const program = describeProgram();
  const sections = [program, ...program.commands].map((command) => {
    const isProgram = command === program;
    const name = isProgram ? command.name() : `${program.name()} ${command.name()}`;
    let text = "";
    command.configureOutput({ writeOut: (part) => text += part });
    command.outputHelp();
    const help = text.split("\n").map((line) => line.trimEnd()).join("\n").trimEnd();
    return `## ${name}\n\n\`\`\`text\n${help}\n\`\`\`\n`;
  });
  return `# Reference of worker-client\n\nMade by \`deno task reference\`.\n\n${
    sections.join("\n")
  }`;
}

if (import.meta.main) await Deno.writeTextFile(FILE, referenceText());
