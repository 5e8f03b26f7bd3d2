/** Completion as the shells themselves do it, with the compiled client and a server's real jobs. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { BIN_DIR } from "../support/binaries.ts";
import { run } from "../support/run.ts";
import { TestServer } from "../support/server.ts";

/** What stands before the cursor, and what is offered for its last word. */
type Case = readonly [line: string, offered: readonly string[]];

const CASES: readonly Case[] = [
  ["worker-client sta", ["start", "stats"]],
  ["worker-client start --pri", ["--private-tmp"]],
  ["worker-client query night", ["nightly"]],
  ["worker-client --context lab remove night", ["nightly"]],
  // A job that has ended is no more to be stopped; one that runs not yet to be removed.
  ["worker-client stop night", []],
  ["worker-client stop web", ["web1"]],
  ["worker-client rm web", []],
  ["worker-client ps --fail", ["--failed"]],
  ["worker-client list --state oo", ["oom"]],
  ["worker-client signal HU", ["HUP"]],
  ["worker-client signal HUP web", ["web1"]],
  ["worker-client kill -s HU", ["HUP"]],
  ["worker-client start --stop-signal QU", ["QUIT"]],
  ["worker-client start --queue bu", ["builds"]],
  ["worker-client completion z", ["zsh"]],
  ["worker-client insp", ["inspect"]],
  ["worker-client inspect web", ["web1"]],
  ["worker-client query lab/night", ["lab/nightly"]],
  ["worker-client query --context l", ["lab"]],
  ["worker-client --context=l", ["--context=lab"]],
  ["worker-client context us", ["use"]],
  ["worker-client context use l", ["lab"]],
  ["worker-client start ls /et", ["/etc/"]],
  ["worker-client list nonsense", []],
];

/** Whoever completes has a context, and a server with a job that has a name. */
class Place implements AsyncDisposable {
  readonly #server: TestServer;
  readonly folder: string;

  private constructor(server: TestServer, folder: string) {
    this.#server = server;
    this.folder = folder;
  }

  static async make(): Promise<Place> {
    const server = await TestServer.start();
    await Deno.writeTextFile(join(server.folder, "queues.txt"), "builds 1\nnight 0\n");
    const folder = await Deno.makeTempDir({ prefix: "job-worker-completion-" });
    await server.client().startWith({ name: "true", title: "nightly" });
    await server.client().wait("nightly");
    await server.client().startWith({ name: "sleep", args: ["600"], title: "web1" });
    const place = new Place(server, folder);
    const identity = server.pki.file("alice.pem");
    await place.client("context", "add", "lab", "--server", server.address, "-i", identity);
    return place;
  }

  async client(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await run(join(BIN_DIR, "worker-client"), args, {
      env: this.environment,
    });
    assert.equal(code, 0, stderr);
    return stdout;
  }

  get environment(): Record<string, string> {
    return {
      PATH: `${BIN_DIR}:${Deno.env.get("PATH") ?? ""}`,
      HOME: this.folder,
      XDG_CONFIG_HOME: this.folder,
      TERM: "dumb",
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
    await Deno.remove(this.folder, { recursive: true });
  }
}

Deno.test("completion: fish offers verbs, options, contexts and jobs", async () => {
  await using place = await Place.make();
  const script = join(place.folder, "worker-client.fish");
  await Deno.writeTextFile(script, await place.client("completion", "fish"));
  for (const [line, expected] of CASES) {
    const { code, stdout, stderr } = await run("fish", [
      "--no-config",
      "-c",
      "source $argv[1]; complete -C $argv[2]",
      script,
      line,
    ], { env: place.environment });
    assert.equal(code, 0, stderr);
    assert.equal(stderr, "");
    const offered = stdout.split("\n").map((text) => text.split("\t")[0]).filter((text) => text);
    assert.deepEqual(offered, expected, line);
  }
});

/**
 * Presses Tab at a prompt in a terminal of zsh's own, and prints what the line is then. Each step
 * waits for what it is to print, since zsh takes its time; the line is printed by a key's binding.
 */
const PRESS_TAB = `
zmodload zsh/zpty
zpty tab 'zsh -f -i'
wait_for() { # TEXT
  local line
  seen=
  while zpty -r tab line; do
    seen+=$line
    [[ $seen == *$1* ]] && return
  done
}
zpty -w tab 'PROMPT= RPROMPT=; autoload -Uz compinit; compinit -u -D; source '"$1"
zpty -w tab 'setopt no_beep no_auto_menu; show() { print -r -- "<<<$BUFFER>>>"; zle kill-buffer }'
zpty -w tab 'zle -N show; bindkey "^X" show; print -r -- READY"$((1))"'
wait_for READY1
zpty -w -n tab "$2"$'\t'$'\x18'
wait_for '>>>'
print -r -- "$seen"
zpty -d tab
`;

Deno.test("completion: zsh completes verbs, options, contexts and jobs", async () => {
  await using place = await Place.make();
  const script = join(place.folder, "_worker-client");
  await Deno.writeTextFile(script, await place.client("completion", "zsh"));
  for (const [line, offered] of CASES) {
    const [only, ...others] = offered;
    const words = line.slice(0, line.lastIndexOf(" ") + 1);
    // One is put in, several are only listed.
    const expected = only !== undefined && others.length === 0 ? `${words}${only}` : line;
    const press = ["60", "zsh", "-f", "-c", PRESS_TAB, "zsh", script, line];
    const { code, stdout, stderr } = await run("timeout", press, { env: place.environment });
    assert.equal(code, 0, stderr);
    const completed = /<<<(.*)>>>/.exec(stdout)?.[1];
    assert.equal(completed?.trimEnd(), expected, `${line}: ${stdout}`);
    if (others.length > 0) { for (const word of offered) assert(stdout.includes(word), stdout); }
  }
});
