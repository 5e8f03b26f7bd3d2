/**
 * Lets packages that read their contract from a file beside them work in a compiled binary, which has
 * no such file: in the bundle, the official loader gives them what was read when it was made.
 */
import type { Plugin } from "esbuild";
import protobuf from "protobufjs";
import { PROTOS } from "./descriptors.ts";

const LOADER = "@grpc/proto-loader";

/** Packages that load a contract of their own. */
const READERS = /\/node_modules\/(grpc-health-check|@grpc\/reflection)\//;

const NAMESPACE = "embedded-protos";

/** The loader, but for where the text comes from. */
const MODULE = `import { fromJSON } from "${LOADER}";
export function loadSync(file, options) {
  const name = Object.keys(TEXTS).find((known) => known.endsWith(file.replace(/^[./]+proto[/]/, "")));
  if (name === undefined) throw new Error(file + " was not there when this program was made");
  return fromJSON(TEXTS[name][options.keepCase ? "kept" : "camel"], options);
}
`;

/** The plugin for the bundler. */
export function embeddedProtos(root: string): Plugin {
  return {
    name: NAMESPACE,
    setup(build) {
      build.onResolve(
        { filter: new RegExp(`^${LOADER}$`) },
        ({ importer }) =>
          READERS.test(importer) ? { path: LOADER, namespace: NAMESPACE } : undefined,
      );
      build.onLoad({ filter: /^/, namespace: NAMESPACE }, async () => {
        const texts = await Promise.all(
          Object.entries(PROTOS).map(async ([name, path]) => {
            const text = await Deno.readTextFile(path);
            const read = (keepCase: boolean) => protobuf.parse(text, { keepCase }).root.toJSON();
            return [name, { kept: read(true), camel: read(false) }];
          }),
        );
        const contents = `const TEXTS = ${JSON.stringify(Object.fromEntries(texts))};\n${MODULE}`;
        return { contents, resolveDir: root };
      });
    },
  };
}
