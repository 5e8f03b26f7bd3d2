/** Manual pages, made of what the help is made of. */
import { strict as assert } from "node:assert";
import { Command } from "commander";
import { describeCerts } from "../../certs/program.ts";
import { describeProgram } from "../../client/program.ts";
import { describeServer } from "../../lib/server/config.ts";
import { escape, manPage } from "../../tools/release/man_page.ts";

const PAGE = { section: 1, version: "1.2.3", date: "2026-01-02", seeAlso: ["ls(1)"] } as const;

/** What a reader sees of a page's text. */
function shown(page: string): string {
  return page.replaceAll("\\-", "-").replaceAll("\\(ti", "~").replaceAll("\\(aq", "'")
    .replaceAll("\\e", "\\").replace(/\\f[BR]|\\&/g, "");
}

Deno.test("escape: what roff would take for a request or an escape is text", () => {
  assert.equal(escape(".x\n'y\na-b \\n ~"), "\\&.x\n\\(aqy\na\\-b \\en \\(ti");
});

Deno.test("manPage: options, verbs and examples of a program", () => {
  const program = new Command("tool").description("Does things. And more.").option("-a", "first");
  program.command("go <place>").description("Goes.").option("-a", "first").option("-b", "second")
    .addHelpText("after", "\nExamples:\n  tool go .x");
  assert.equal(
    shown(manPage(program, PAGE)).split("\n").filter((line) => !/^\.(nh|ad)/.test(line)).join("\n"),
    `.TH TOOL 1 2026-01-02 "job-worker 1.2.3" "User Commands"
.SH NAME
tool - does things
.SH SYNOPSIS
tool [options] [command]
.SH DESCRIPTION
Does things. And more.
.SH OPTIONS
.TP
-a
first
.SH COMMANDS
.SS
tool go [options] <place>
.PP
Goes.
.TP
-b
second
.PP
.nf
Examples:
  tool go .x
.fi
.SH SEE ALSO
ls(1)
`,
  );
});

const PROGRAMS = [describeProgram, describeServer, describeCerts];
for (const describe of PROGRAMS) {
  const program = describe();
  Deno.test(`manPage: ${program.name()} has each verb and option, and never what roff acts on`, () => {
    const page = manPage(describe(), PAGE);
    const text = shown(page);
    for (const command of [program, ...program.commands]) {
      for (const option of command.options) {
        if (option.hidden || option.long === "--help") continue;
        assert(text.includes(option.flags), `${command.name()} ${option.flags}`);
      }
      assert(text.includes(command.name()), command.name());
    }
    assert.match(text, /Examples:\n {2}worker-/);
    const requests = new Set([...page.matchAll(/^[.'](\w*)/gm)].map(([, name]) => name));
    const known = ["TH", "nh", "ad", "SH", "SS", "PP", "TP", "nf", "fi"];
    assert.deepEqual([...requests].filter((name) => !known.includes(name ?? "")), []);
  });
}
