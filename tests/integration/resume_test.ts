/** A stream survives whatever happens to the server and the path to it, byte for byte. */
// Attacks: streams, by kills and cuts.
import { strict as assert } from "node:assert";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { BIN_DIR } from "../support/binaries.ts";
import { NetworkPath } from "../support/network_path.ts";
import { TestServer } from "../support/server.ts";
import { until } from "../support/wait.ts";

const LINES = 10_000_000;

/** Slow enough for kills to hit the stream in its middle, ten times. */
const PATH_BYTES_PER_SECOND = 10_000_000;

Deno.test({
  name: "stream: ten kills of the server and a path that is cut lose no byte and double none",
  // Connections that are cut leave their last reads to end by themselves.
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => {
    await using server = await TestServer.start();
    using path = new NetworkPath(server.port, PATH_BYTES_PER_SECOND);
    const id = await server.client().start("seq", String(LINES));
    const client = new StreamingClient(server, path.port, id);
    for (let part = 1; part <= 10; part++) {
      await client.received(part * 6_500_000);
      await server.end("SIGKILL");
      await server.launch();
      await client.received(part * 6_500_000 + 2_000_000);
      path.cut();
    }
    const { code, hash, bytes, notes } = await client.end();
    assert.equal(code, 0, notes);
    assert.equal(bytes, expectedBytes());
    assert.equal(hash, await expectedHash());
    // Not one for each: a cut that comes while the client is still looking for the killed server
    // breaks nothing anew, and a server that is back at once is found without a word.
    assert.match(notes, /resumed/);
  },
});

Deno.test({
  name: "stream: a path that swallows everything without a word is noticed, and left for another",
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => {
    await using server = await TestServer.start();
    using path = new NetworkPath(server.port, PATH_BYTES_PER_SECOND);
    const gate = join(server.folder, "gate");
    const script = 'seq 200000; while [ ! -e "$1" ]; do sleep 0.1; done; echo end';
    const id = await server.client().shell(script, gate);
    const client = new StreamingClient(server, path.port, id);
    await client.received(500_000);
    path.swallow();
    await Deno.writeTextFile(gate, "");
    const { code, hash, notes } = await client.end();
    assert.equal(code, 0, notes);
    const lines = Array.from({ length: 200_000 }, (_, index) => `${index + 1}\n`).join("");
    assert.equal(hash, createHash("sha256").update(`${lines}end\n`).digest("hex"));
    assert.match(notes, /resumed/);
  },
});

Deno.test({
  name: "stream --no-retry: ends with the connection's exit status when the server is killed",
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => {
    await using server = await TestServer.start();
    using path = new NetworkPath(server.port, PATH_BYTES_PER_SECOND);
    const id = await server.client().start("seq", String(LINES));
    const client = new StreamingClient(server, path.port, id, ["--no-retry"]);
    await client.received(1_000_000);
    await server.end("SIGKILL");
    const { code, notes } = await client.end();
    assert.equal(code, 3, notes);
    assert.equal(notes.trim().split("\n").length, 1, notes);
    await server.launch();
  },
});

/** The compiled client, streaming through a path. */
class StreamingClient {
  readonly #child: Deno.ChildProcess;
  readonly #hash = createHash("sha256");
  readonly #reading: Promise<void>;
  readonly #notes: Promise<string>;
  #bytes = 0;

  constructor(server: TestServer, port: number, id: string, flags: readonly string[] = []) {
    this.#child = new Deno.Command(join(BIN_DIR, "worker-client"), {
      args: ["stream", ...flags, id],
      env: { ...server.cliEnvironment(), JOB_WORKER_SERVER: `localhost:${port}` },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#reading = this.#read();
    this.#notes = new Response(this.#child.stderr).text();
  }

  /** Waits until so many bytes have come. */
  async received(bytes: number): Promise<void> {
    await until(`${bytes} bytes of output`, () => this.#bytes >= bytes, 120_000);
  }

  /** Waits for the client's end. */
  async end(): Promise<{ code: number; hash: string; bytes: number; notes: string }> {
    const { code } = await this.#child.status;
    await this.#reading;
    return { code, hash: this.#hash.digest("hex"), bytes: this.#bytes, notes: await this.#notes };
  }

  async #read(): Promise<void> {
    for await (const bytes of this.#child.stdout) {
      this.#hash.update(bytes);
      this.#bytes += bytes.length;
    }
  }
}

function expectedBytes(): number {
  let bytes = 0;
  for (let digits = 1, from = 1; from <= LINES; digits++, from *= 10) {
    bytes += (Math.min(from * 10 - 1, LINES) - from + 1) * (digits + 1);
  }
  return bytes;
}

async function expectedHash(): Promise<string> {
  const hash = createHash("sha256");
  const { stdout } = new Deno.Command("seq", { args: [String(LINES)], stdout: "piped" }).spawn();
  for await (const bytes of stdout) hash.update(bytes);
  return hash.digest("hex");
}
