/**
 * Runs what the documents show: every `sh` and `console` block, in order, on a host of the
 * document's own with the compiled binaries.
 *
 * Other hosts (ssh, scp) and systemd (systemctl) are stand-ins below tests/fixtures that do the same
 * on that host; tests/vm/systemd_test.ts has the real systemd. A block that cannot run there has a
 * comment with the reason before its fence.
 */
import { strict as assert } from "node:assert";
import {
  type Block,
  blocksOf,
  callsOf,
  misuseOf,
  optionsIn,
  spansOf,
  type Step,
  stepsOf,
  type Usage,
  verbsIn,
} from "../support/document_commands.ts";
import { documentNames, readDocument } from "../support/documents.ts";
import { testUnless } from "../support/skip.ts";
import {
  buildForDocuments,
  DocumentHost,
  helpOf,
  type HostOptions,
  OUR_PROGRAMS,
} from "../support/document_host.ts";
import { run } from "../support/run.ts";
import { until } from "../support/wait.ts";

/** Hosts of documents that need more or less than a running server. */
const HOSTS: Readonly<Record<string, HostOptions>> = {
  "README.md": {
    isSetUp: true,
    // The README lists and stops the job while it runs.
    standIns: { "/opt/backup.sh": "#!/bin/sh\nexec sleep 600\n" },
  },
  "docs/certificates.md": { isSetUp: true, keepsCa: true },
  "docs/guide.md": { isSetUp: false },
};

/** Commands that are repeated until they print what the document shows: jobs take time to end. */
const REPEATED = /^worker-client (query|list|doctor)\b/;

const REPEAT_DEADLINE_MS = 10_000;

const WHY_NOT = await whyNot();

async function whyNot(): Promise<string | undefined> {
  if (Deno.uid() !== 0) return "only root may make control groups and namespaces";
  const found = await run("/bin/sh", ["-c", "command -v ip jq openssl unshare >/dev/null"]);
  if (found.code !== 0) return "ip, jq, openssl or unshare is missing";
  const { code, stderr } = await run("unshare", ["--mount", "--net", "true"]);
  return code === 0 ? undefined : `no namespaces can be made here: ${stderr.trim()}`;
}

let built: Promise<void> | undefined;

/** Builds the binaries once. */
function build(): Promise<void> {
  built ??= buildForDocuments();
  return built;
}

function isCommands({ language }: Block): boolean {
  return language === "sh" || language === "console";
}

/** Runs blocks on a host; replaces the job ids that the document shows by those of the real jobs. */
class Reader {
  readonly #host: DocumentHost;
  readonly #ids = new Map<string, string>();

  constructor(host: DocumentHost) {
    this.#host = host;
  }

  /** Runs a block. @returns What is wrong; undefined if nothing is. */
  async run({ language, text }: Block): Promise<string | undefined> {
    if (language === "console") return await this.#runSteps(stepsOf(text));
    const { code, output } = await this.#host.run(text);
    return code === 0 ? undefined : `exit status ${code}\n${output}`;
  }

  async #runSteps(steps: readonly Step[]): Promise<string | undefined> {
    for (const step of steps) {
      let problem = await this.#runStep(step);
      if (problem !== undefined && REPEATED.test(step.command)) {
        const again = async () => (problem = await this.#runStep(step)) === undefined;
        await until(step.command, again, REPEAT_DEADLINE_MS).catch(() => {});
      }
      if (problem !== undefined) return problem;
    }
    return undefined;
  }

  async #runStep({ command, output: shown }: Step): Promise<string | undefined> {
    const { code, output } = await this.#host.run(`${this.#translate(command)}\n`);
    this.#learn(shown.join("\n"), output);
    const isToFail = shown.some((line) => line.startsWith("worker-client: "));
    const got = new Set(output.split("\n").map(alike));
    const missing = shown.filter((line) =>
      line !== "..." && !got.has(alike(this.#translate(line)))
    );
    if ((code !== 0) === isToFail && missing.length === 0) return undefined;
    return `$ ${command}: exit status ${code}\n${output}\nIt should print: ${missing.join("\n")}`;
  }

  /** Remembers the id that a start printed for the id that the document shows. */
  #learn(shown: string, output: string): void {
    const id = /^Job ID: (\S+) Started$/m;
    const [, documented] = id.exec(shown) ?? [];
    const [, actual] = id.exec(output) ?? [];
    if (documented === undefined || actual === undefined) return;
    this.#ids.set(documented, actual);
    this.#ids.set(documented.slice(0, 8), actual.slice(0, 8));
  }

  #translate(text: string): string {
    let translated = text;
    for (const [documented, actual] of this.#ids) {
      translated = translated.replaceAll(documented, actual);
    }
    return translated;
  }
}

/** A line without numbers, serial numbers (128 bits, without leading zeros) and column widths. */
function alike(line: string): string {
  return line.replace(/\b[0-9A-F]{24,32}\b|\d+/g, "0").replace(/\s+/g, " ").trim();
}

for (const name of await documentNames()) {
  const blocks = blocksOf(await readDocument(name)).filter(isCommands);
  if (blocks.length === 0) continue;
  testUnless(WHY_NOT, {
    name: `${name}: its commands do what it says`,
    fn: async () => {
      for (const { line, notRun } of blocks) {
        if (notRun !== undefined) console.log(`NOT RUN ${name}:${line}: ${notRun}`);
      }
      const runnable = blocks.filter(({ notRun }) => notRun === undefined);
      if (runnable.length === 0) return;
      await build();
      const failures: string[] = [];
      await using host = await DocumentHost.open(HOSTS[name] ?? { isSetUp: true });
      const reader = new Reader(host);
      for (const block of runnable) {
        const problem = await reader.run(block);
        if (problem !== undefined) {
          failures.push(`${name}:${block.line}: ${problem}\n${block.text}`);
        }
      }
      assert.equal(failures.join("\n"), "");
    },
  });
}

/** The verbs and options of a program, from its help. */
async function usageOf(program: string): Promise<Usage> {
  const help = await helpOf(program);
  const options = optionsIn(help);
  // The server's only verb takes the server's options.
  if (program === "worker-server") {
    return { options, verbs: new Map([["doctor", options]]), runners: new Set() };
  }
  const names = verbsIn(help).filter((name) => name !== "help");
  const verbs = await Promise.all(
    names.map(async (name) => [name, optionsIn(await helpOf(program, name))] as const),
  );
  return { options, verbs: new Map(verbs), runners: new Set(["start", "run"]) };
}

/** A block's commands alone. */
function scriptOf({ language, text }: Block): string {
  return language === "sh" ? text : stepsOf(text).map(({ command }) => command).join("\n");
}

Deno.test("documents: every call of our programs uses existing verbs and options", async () => {
  await build();
  const usages = new Map<string, Usage>();
  for (const program of OUR_PROGRAMS) usages.set(program, await usageOf(program));
  const wrong: string[] = [];
  let count = 0;
  for (const name of await documentNames()) {
    const text = await readDocument(name);
    const scripts = [...blocksOf(text).filter(isCommands).map(scriptOf), ...spansOf(text)];
    for (const { program, args } of scripts.flatMap(callsOf)) {
      const usage = usages.get(program);
      assert(usage);
      const misuse = misuseOf(args, usage);
      if (misuse !== undefined) wrong.push(`${name}: ${program} ${args.join(" ")}: ${misuse}`);
      count++;
    }
  }
  assert.deepEqual(wrong, []);
  assert(count > 100, `only ${count} calls were found`);
});
