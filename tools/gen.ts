/**
 * Makes from proto/job_service.proto what the code is built on, into build/gen/ (never committed):
 * the descriptor that proto-loader takes instead of the text, and the TypeScript types.
 */
import protobuf from "protobufjs";

const PROTO = new URL("../proto/job_service.proto", import.meta.url).pathname;
const OUT = new URL("../build/gen/", import.meta.url).pathname;

/** Writes the descriptor and the types, unless they are newer than the contract. */
export async function generate(): Promise<void> {
  const descriptorFile = `${OUT}job_service.json`;
  if (await isNewer(descriptorFile, PROTO)) return;
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
  const root = protobuf.parse(await Deno.readTextFile(PROTO)).root;
  await Deno.writeTextFile(descriptorFile, JSON.stringify(root.toJSON()));
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

async function isNewer(file: string, than: string): Promise<boolean> {
  try {
    const [a, b] = await Promise.all([Deno.stat(file), Deno.stat(than)]);
    return (a.mtime?.getTime() ?? 0) > (b.mtime?.getTime() ?? 0);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

if (import.meta.main) await generate();
