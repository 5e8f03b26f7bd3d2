/**
 * Leaves out of a client's bundle what grpc-js loads and a client never uses, nearly a third of its text:
 * a program of a tenth of a second feels what is read and run at its start.
 */
import type { Plugin } from "esbuild";

const NAMESPACE = "left-out";

/** What the library's index takes into its exports, or sets up by `setup`. */
const PARTS = [
  "./server",
  "./server-credentials",
  "./server-interceptors",
  "./admin",
  "./orca",
  "./experimental",
  "./load-balancer-round-robin",
  "./load-balancer-outlier-detection",
  "./load-balancer-weighted-round-robin",
];

/** Reads contracts, for the service that tells of a program's channels. Loaded when that is asked for. */
const LOADER = "@grpc/proto-loader";

const INDEX = /\/@grpc\/grpc-js\/build\/src\/index\.js$/;
const CHANNELZ = /\/@grpc\/grpc-js\/build\/src\/channelz\.js$/;

/**
 * The plugin for the bundler.
 *
 * @throws In the bundler, when the library has no such part any more.
 */
export function clientParts(): Plugin {
  return {
    name: NAMESPACE,
    setup(build) {
      const left = new Set<string>();
      const leave = (path: string) => {
        left.add(path);
        return { path, namespace: NAMESPACE };
      };
      build.onResolve(
        { filter: /^\.\// },
        ({ path, importer }) =>
          INDEX.test(importer) && PARTS.includes(path) ? leave(path) : undefined,
      );
      build.onResolve(
        { filter: new RegExp(`^${LOADER}$`) },
        ({ path, importer }) => CHANNELZ.test(importer) ? leave(path) : undefined,
      );
      build.onLoad({ filter: /^/, namespace: NAMESPACE }, () => ({
        contents: "exports.setup = () => {};",
      }));
      build.onEnd(() => {
        const missing = [...PARTS, LOADER].filter((path) => !left.has(path));
        if (missing.length === 0) return undefined;
        return { errors: [{ text: `grpc-js has no ${missing.join(", ")} any more` }] };
      });
    },
  };
}
