/** A process of `bench/bare_server.ts`, and a client of it. */
import { Client, credentials } from "@grpc/grpc-js";
import { Buffer } from "node:buffer";
import { createSecureContext } from "node:tls";
import { type Pki, testPki } from "../tests/support/pki.ts";

/** Runs until it is disposed of. */
export class BareServer implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #client: Client;

  private constructor(child: Deno.ChildProcess, client: Client) {
    this.#child = child;
    this.#client = client;
  }

  /** @param program The compiled program. */
  static async start(program: string): Promise<BareServer> {
    const pki = await testPki();
    const child = new Deno.Command(program, {
      args: ["server.crt", "server.key", "ca.crt"].map((name) => pki.file(name)),
      stdin: "null",
      stdout: "piped",
    }).spawn();
    const said = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    const port = (await said.read()).value?.trim();
    if (port === undefined) throw new Error("the gRPC server that does nothing has ended");
    return new BareServer(child, clientOf(port, pki));
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Calls its method. */
  async call(): Promise<void> {
    const same = (bytes: Buffer): Buffer => bytes;
    await new Promise<void>((resolve, reject) =>
      this.#client.makeUnaryRequest(
        "/Bare/Echo",
        same,
        same,
        Buffer.from("anything"),
        (error) => error ? reject(error) : resolve(),
      )
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client.close();
    this.#child.kill();
    await this.#child.status;
  }
}

function clientOf(port: string, pki: Pki): Client {
  const read = (name: string) => Deno.readTextFileSync(pki.file(name));
  const identity = { ca: read("ca.crt"), cert: read("alice.crt"), key: read("alice.key") };
  const secure = createSecureContext({ ...identity, minVersion: "TLSv1.3" });
  return new Client(`localhost:${port}`, credentials.createFromSecureContext(secure), {
    "grpc.enable_http_proxy": 0,
  });
}
