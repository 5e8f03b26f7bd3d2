/** Streams within the guest: byte for byte what the job wrote. */
import { strict as assert } from "node:assert";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { BIN_DIR } from "../support/binaries.ts";
import { guestTest, newPath, sharedServer } from "./guest.ts";

/** Streams run at about 4 MB/s in an emulated machine. */
const OUTPUT_MIB = 4;

guestTest("stream: a follower has the very bytes that the job wrote", async () => {
  const server = await sharedServer();
  const client = server.client();
  const source = newPath(server);
  const jobId = await client.shell(
    `head -c ${OUTPUT_MIB}M /dev/urandom >"$1"; ` +
      'split -b 300K --filter="cat; sleep 0.05" "$1"; echo end >&2',
    source,
  );
  const output = await client.output(jobId);
  const written = await Deno.readFile(source);
  assert.equal(output.length, written.length + 4);
  const digest = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
  assert.equal(digest(output.subarray(0, written.length)), digest(written));
  assert.equal(new TextDecoder().decode(output.subarray(written.length)), "end\n");
});

guestTest("stream: bytes come while the job runs", async () => {
  const server = await sharedServer();
  const client = server.client();
  const go = newPath(server);
  const jobId = await client.shell(
    'echo one; until [ -e "$1" ]; do sleep 0.05; done; echo two',
    go,
  );
  let text = "";
  for await (const { output } of client.messages({ jobID: jobId })) {
    text += new TextDecoder().decode(output);
    if (text === "one\n") await Deno.writeTextFile(go, "");
  }
  assert.equal(text, "one\ntwo\n");
});

guestTest(
  "stream: several followers, from the start and from an offset, have the same",
  async () => {
    const server = await sharedServer();
    const client = server.client();
    const jobId = await client.shell("seq 1 20000; sleep 0.5; seq 20001 40000");
    const [first, second, third] = await Promise.all([
      client.text(jobId),
      client.text(jobId),
      client.output(jobId, { offset: 100_000 }),
    ]);
    const expected = Array.from({ length: 40_000 }, (_, index) => `${index + 1}\n`).join("");
    assert.equal(first, expected);
    assert.equal(second, expected);
    assert.equal(new TextDecoder().decode(third), expected.slice(100_000));
  },
);

guestTest("client: run writes what the job wrote, and exits as it did", async () => {
  const server = await sharedServer();
  const { code, stdout, stderr } = await server.cli(["run", "sh", "-c", "echo out; exit 11"]);
  assert.equal(stdout, "out\n", stderr);
  assert.equal(code, 11);
});

guestTest(
  "client: a stream goes on over a killed server without a lost or doubled byte",
  async () => {
    const server = await sharedServer();
    const go = newPath(server);
    const jobId = await server.client().shell(
      'seq 1 5000; until [ -e "$1" ]; do sleep 0.05; done; seq 5001 10000',
      go,
    );
    await using client = new Deno.Command(join(BIN_DIR, "worker-client"), {
      args: ["stream", jobId],
      env: server.cliEnvironment(),
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    let text = "";
    for await (const part of client.stdout.pipeThrough(new TextDecoderStream())) {
      text += part;
      if (!text.endsWith("5000\n")) continue;
      await server.end("SIGKILL");
      await server.launch();
      await Deno.writeTextFile(go, "");
    }
    assert.equal((await client.status).code, 0);
    assert.equal(text, Array.from({ length: 10_000 }, (_, index) => `${index + 1}\n`).join(""));
  },
);
