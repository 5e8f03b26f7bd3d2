/**
 * Makes from proto/job_service.proto what the code is built on, into build/gen/ (never committed):
 * the TypeScript types, the code that reads and writes messages, and descriptors for reflection.
 */
import protobuf from "protobufjs";
import { codecOf } from "./codec.ts";
import { descriptorsModule, PROTOS } from "./descriptors.ts";

const PROTO = new URL("../../proto/job_service.proto", import.meta.url).pathname;
const TOOLS = ["gen.ts", "codec.ts", "descriptors.ts", "buf.ts"].map((name) =>
  new URL(name, import.meta.url).pathname
);
const OUT = new URL("../../build/gen/", import.meta.url).pathname;

/** Writes code and types, unless they are newer than the contract and than what makes them. */
export async function generate(): Promise<void> {
  const codecFile = `${OUT}codec.ts`;
  const descriptorsFile = `${OUT}descriptors.ts`;
  const sources = [...Object.values(PROTOS), ...TOOLS];
  if (await isNewer(codecFile, sources) && await isNewer(descriptorsFile, sources)) return;
  await Deno.mkdir(OUT, { recursive: true });
  const output = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--allow-all",
      "npm:@grpc/proto-loader@0.8.1/proto-loader-gen-types",
      "--longs=Number",
      "--enums=String",
      "--defaults",
      "--grpcLib=@grpc/grpc-js",
      "--targetFileExtension=.ts",
      "--importFileExtension=.ts",
      `--outDir=${OUT}`,
      PROTO,
    ],
    stdout: "piped",
    stderr: "piped",
  }).output();
  if (!output.success) throw new Error(new TextDecoder().decode(output.stderr));
  await importBuffer();
  const { root } = protobuf.parse(await Deno.readTextFile(PROTO));
  await Deno.writeTextFile(descriptorsFile, await descriptorsModule());
  await Deno.writeTextFile(codecFile, codecOf(root));
}

/** The types name Node's global Buffer, which Deno's checker knows only as an import. */
async function importBuffer(): Promise<void> {
  for await (const entry of Deno.readDir(OUT)) {
    if (!entry.name.endsWith(".ts")) continue;
    const text = await Deno.readTextFile(OUT + entry.name);
    if (!/\bBuffer\b/.test(text)) continue;
    await Deno.writeTextFile(
      OUT + entry.name,
      `import type { Buffer } from "node:buffer";\n${text}`,
    );
  }
}

async function isNewer(file: string, than: readonly string[]): Promise<boolean> {
  try {
    const [made, ...others] = await Promise.all(
      [file, ...than].map(async (path) => (await Deno.stat(path)).mtime?.getTime() ?? 0),
    );
    return others.every((other) => (made ?? 0) > other);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

if (import.meta.main) await generate();
