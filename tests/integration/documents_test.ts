/**
 * Runs what the documents show: every `sh` and `console` block, in order, on a host of the
 * document's own with the compiled binaries.
 *
 * Other hosts (ssh, scp) and systemd (systemctl) are stand-ins below tests/fixtures that do the same
 * on that host; tests/vm/systemd_test.ts has the real systemd. What cannot be run there
 * says so in a comment before its fence.
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

/** Hosts of documents that want other than a server that runs. */
const HOSTS: Readonly<Record<string, HostOptions>> = {
  "README.md": {
    isSetUp: true,
    // The README lists and stops it while it runs.
    standIns: { "/opt/backup.sh": "#!/bin/sh\nexec sleep 600\n" },
  },
  "docs/guide.md": { isSetUp: false },
};

/** What may be asked again until it answers as the document shows: jobs take a moment to end. */
const ASKING = /^worker-client (query|list|doctor)\b/;

/** For so long. */
const ASKING_DEADLINE_MS = 10_000;

const WHY_NOT = await whyNot();

async function whyNot(): Promise<string | undefined> {
  if (Deno.uid() !== 0) return "only root may make control groups and namespaces";
  const found = await run("/bin/sh", ["-c", "command -v ip jq openssl unshare >/dev/null"]);
  if (found.code !== 0) return "ip, jq, openssl or unshare is missing";
  const { code, stderr } = await run("unshare", ["--mount", "--net", "true"]);
  return code === 0 ? undefined : `no namespaces can be made here: ${stderr.trim()}`;
}

let built: Promise<void> | undefined;

/** Makes the binaries once. */
function build(): Promise<void> {
  built ??= buildForDocuments();
  return built;
}

function isCommands({ language }: Block): boolean {
  return language === "sh" || language === "console";
}

/** A host, and the ids of its jobs by those that the document shows. */
class Reader {
  readonly #host: DocumentHost;
  readonly #ids = new Map<string, string>();

  constructor(host: DocumentHost) {
    this.#host = host;
  }

  /** Runs a block; what is wrong, if anything. */
  async run({ language, text }: Block): Promise<string | undefined> {
    if (language === "console") return await this.#runSteps(stepsOf(text));
    const { code, output } = await this.#host.run(text);
    return code === 0 ? undefined : `exit status ${code}\n${output}`;
  }

  async #runSteps(steps: readonly Step[]): Promise<string | undefined> {
    for (const step of steps) {
      let problem = await this.#runStep(step);
      if (problem !== undefined && ASKING.test(step.command)) {
        const again = async () => (problem = await this.#runStep(step)) === undefined;
        await until(step.command, again, ASKING_DEADLINE_MS).catch(() => {});
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

  /** Notes the id that a start has answered with, beside the one that the document shows. */
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

/** A line without its numbers, serial numbers and the widths of its columns. */
function alike(line: string): string {
  return line.replace(/\b[0-9A-F]{32}\b|\d+/g, "0").replace(/\s+/g, " ").trim();
}

for (const name of await documentNames()) {
  const blocks = blocksOf(await readDocument(name)).filter(isCommands);
  if (blocks.length === 0) continue;
  testUnless(WHY_NOT, {
    name: `${name}: its commands do what it says`,
    fn: async () => {
      await build();
      const failures: string[] = [];
      await using host = await DocumentHost.open(HOSTS[name] ?? { isSetUp: true });
      const reader = new Reader(host);
      for (const block of blocks) {
        const where = `${name}:${block.line}`;
        if (block.notRun !== undefined) {
          console.log(`NOT RUN ${where}: ${block.notRun}`);
          continue;
        }
        const problem = await reader.run(block);
        if (problem !== undefined) failures.push(`${where}: ${problem}\n${block.text}`);
      }
      assert.equal(failures.join("\n"), "");
    },
  });
}

/** What a program understands, out of its own help. */
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

Deno.test("documents: every call of our programs has a verb and options that there are", async () => {
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
