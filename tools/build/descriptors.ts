/**
 * Makes the descriptors of the contract and of the services beside it, as reflection hands them out.
 * By the compiler itself: what protobufjs makes lacks what other languages insist on (the names of map
 * entries, and which fields are optional).
 */
import { dirname, join } from "node:path";
import protobuf from "protobufjs";
import descriptor from "protobufjs/ext/descriptor/index.js";
import { runBuf } from "./buf.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/** Each contract by the name under which it is known, and where it lies. */
export const PROTOS: Readonly<Record<string, string>> = {
  "job_service.proto": join(ROOT, "proto/job_service.proto"),
  "grpc/health/v1/health.proto": join(
    ROOT,
    "node_modules/grpc-health-check/proto/health/v1/health.proto",
  ),
  ...Object.fromEntries(["v1", "v1alpha"].map((version) => {
    const name = `grpc/reflection/${version}/reflection.proto`;
    return [name, join(ROOT, "node_modules/@grpc/reflection/build/proto", name)];
  })),
};

/** What protobufjs calls a set of files; its declarations know it only in part. */
const { FileDescriptorSet, FileDescriptorProto } = descriptor as unknown as {
  FileDescriptorSet: { decode(bytes: Uint8Array): { file: protobuf.Message[] } };
  FileDescriptorProto: { encode(file: protobuf.Message): protobuf.Writer };
};

/** The text of a module that exports `files`: descriptors, in base64. */
export async function descriptorsModule(): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "job-worker-descriptors-" });
  try {
    for (const [name, path] of Object.entries(PROTOS)) {
      const copy = join(folder, "proto", name);
      await Deno.mkdir(dirname(copy), { recursive: true });
      await Deno.copyFile(path, copy);
    }
    const out = join(folder, "set.binpb");
    const flags = ["--as-file-descriptor-set", "--exclude-source-info", "--output", out];
    const { code, output } = await runBuf(["build", join(folder, "proto"), ...flags]);
    if (code !== 0) throw new Error(`the contract cannot be compiled: ${output}`);
    const { file } = FileDescriptorSet.decode(await Deno.readFile(out));
    const files = file.map((one) => FileDescriptorProto.encode(one).finish().toBase64());
    return `// Made from the contract.\nexport const files = ${JSON.stringify(files, null, 2)};\n`;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
