import assert from "node:assert/strict";
import { build, type Plugin, stop } from "esbuild";
import { join } from "node:path";
import { clientParts } from "../../tools/build/client_parts.ts";

const ROOT = join(import.meta.dirname ?? ".", "..", "..");

/** Bundles a module as the client is, and names what is in it. */
async function filesOf(contents: string, plugins: Plugin[] = []): Promise<string[]> {
  const { metafile } = await build({
    stdin: { contents, resolveDir: ROOT },
    bundle: true,
    plugins,
    write: false,
    metafile: true,
    format: "esm",
    platform: "node",
    logLevel: "silent",
  });
  return Object.keys(metafile?.inputs ?? {});
}

/** The bundler's process ends some time after `stop` says so. */
const OF_BUNDLER = { sanitizeOps: false, sanitizeResources: false };

Deno.test("client parts: what only servers use of grpc-js is left out", OF_BUNDLER, async () => {
  const entry = 'export { Client, credentials } from "@grpc/grpc-js";';
  const whole = await filesOf(entry);
  const files = await filesOf(entry, [clientParts()]);
  await stop();
  const unused = /\/(server|server-interceptors|orca|load-balancer-round-robin)\.js$|protobufjs/;
  assert.ok(whole.some((file) => unused.test(file)), "nothing to leave out");
  assert.deepEqual(files.filter((file) => unused.test(file)), []);
  for (const part of ["client", "transport", "load-balancer-pick-first", "resolver-dns"]) {
    assert.ok(files.some((file) => file.endsWith(`/${part}.js`)), part);
  }
});

Deno.test("client parts: a part that the library lacks stops the build", OF_BUNDLER, async () => {
  await assert.rejects(
    filesOf("export {};", [clientParts()]),
    /grpc-js has no \.\/server, .*@grpc\/proto-loader any more/,
  );
  await stop();
});
