/**
 * worker-certs: makes the private CA of a job worker and issues the certificates of its servers and
 * clients. A program of its own, so that the CA's key need not be on a worker host.
 */
import { type Output, run } from "./program.ts";

/** Writes a text. A reader that has gone away, such as `| head -1`, is not an error. */
function write(stream: { writeSync(bytes: Uint8Array): number }, text: string): void {
  const bytes = new TextEncoder().encode(text);
  try {
    for (let written = 0; written < bytes.length;) {
      written += stream.writeSync(bytes.subarray(written));
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}

const output: Output = {
  out: (text) => write(Deno.stdout, text),
  err: (text) => write(Deno.stderr, text),
  environment: (name) => Deno.env.get(name),
  progress: (text) => Deno.stderr.isTerminal() && write(Deno.stderr, text),
};

try {
  Deno.exitCode = await run(Deno.args, output);
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  output.err(
    `worker-certs: stopped by a defect of this program: ${message.replaceAll("\n", " ")}\n`,
  );
  Deno.exitCode = 1;
}
