/** A running `worker-client ui`, for tests. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { BIN_DIR } from "./binaries.ts";
import { type TestServer } from "./server.ts";
import { until } from "./wait.ts";
import { inTime } from "./wait.ts";

/** The compiled client while it serves its page. */
export class UiHost implements AsyncDisposable {
  readonly url: string;
  readonly #child: Deno.ChildProcess;
  readonly #notes: { text: string };

  private constructor(child: Deno.ChildProcess, url: string, notes: { text: string }) {
    this.#child = child;
    this.url = url;
    this.#notes = notes;
  }

  /** Starts it, and waits for the address that it prints. */
  static async start(
    server: TestServer,
    { identity = "alice", args = [] }: { identity?: string; args?: readonly string[] } = {},
  ): Promise<UiHost> {
    const child = new Deno.Command(join(BIN_DIR, "worker-client"), {
      args: ["ui", ...args],
      env: server.cliEnvironment(identity),
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const printed = collect(child.stdout);
    const notes = collect(child.stderr);
    const url = await until("the page's address", () => /^http:\S+\n/.exec(printed.text)?.[0]);
    return new UiHost(child, url.trim(), notes);
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** What it has written to standard error. */
  get notes(): string {
    return this.#notes.text;
  }

  /** The address without the token. */
  get origin(): string {
    return new URL(this.url).origin;
  }

  /** The path of the page, which is the token between slashes. */
  get path(): string {
    return new URL(this.url).pathname;
  }

  /** Asks as the page does. */
  post(path: string, body: object, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(`${this.url}api/${path}`, {
      method: "POST",
      headers: { origin: this.origin, "content-type": "application/json", ...headers },
      body: JSON.stringify(body),
    });
  }

  /** Asks, and reads the answer. */
  // deno-lint-ignore no-explicit-any -- each path has an answer of its own
  async ask(path: string, body: object): Promise<any> {
    const response = await this.post(path, body);
    const answer = await response.json();
    assert.equal(response.status, 200, JSON.stringify(answer));
    return answer;
  }

  /** Ends it as Ctrl-C does, and returns its exit status. */
  async end(): Promise<number> {
    this.#child.kill("SIGINT");
    return (await inTime("worker-client ui to end", this.#child.status)).code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGTERM");
    } catch {
      // It has ended.
    }
    await inTime("worker-client ui to end", this.#child.status);
  }
}

function collect(stream: ReadableStream<Uint8Array>): { text: string } {
  const collected = { text: "" };
  const decoder = new TextDecoder();
  (async () => {
    for await (const bytes of stream) collected.text += decoder.decode(bytes, { stream: true });
  })();
  return collected;
}
