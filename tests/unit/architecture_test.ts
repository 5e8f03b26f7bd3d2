/**
 * Holds who may import whom.
 *
 * A new file of lib/ belongs into {@linkcode LAYERS}: the test says so when it meets one.
 */
import assert from "node:assert/strict";
import { join, normalize, posix } from "node:path";

const ROOT = join(import.meta.dirname ?? ".", "..", "..");

/** A group of files that stand for one thing. */
interface Layer {
  /** Paths from the root of the repository. */
  readonly files: RegExp;
  /** Layers that these files may import from, besides their own. */
  readonly imports: readonly string[];
  /** npm packages that these files may import. */
  readonly packages: RegExp;
}

const NO_PACKAGE = /^$/;
const ANY_PACKAGE = /^/;
const GRPC = /^(@grpc\/|grpc-health-check$)/;
const NOT_GRPC = /^(?!@grpc\/)/;

/** Low things that many need and that need nothing themselves. */
const COMMON = ["common", "shared"];

/** Downward only: entry point, service, job, executor, cgroup; and job to logs, store, limits. */
const LAYERS: Readonly<Record<string, Layer>> = {
  server: {
    files: /^(server|lib\/(config|doctor|housekeeping))\.ts$/,
    imports: [
      "service",
      "rbac",
      "shim",
      "metrics",
      "rules",
      "choices",
      "trust",
      "job",
      "executor",
      "cgroup",
      "store",
      "logs",
      "settings",
      "readiness",
      "memory",
      ...COMMON,
    ],
    packages: ANY_PACKAGE,
  },
  client: {
    files: /^client(\.ts$|\/)/,
    imports: ["contract", "manifest", "shared"],
    packages: ANY_PACKAGE,
  },
  certs: {
    files: /^certs\//,
    imports: ["role", "manifest", "shared"],
    packages: NOT_GRPC,
  },
  contract: {
    files: /^(proto\/contract\.ts|build\/gen\/.+)$/,
    imports: [],
    packages: /^(@grpc\/|protobufjs$)/,
  },
  service: {
    files: /^lib\/(service|pacing|audit|(grpc|tls)_\w+)\.ts$/,
    imports: [
      "bounds",
      "rbac",
      "rules",
      "role",
      "trust",
      "job",
      "state",
      "choices",
      "logs",
      "contract",
      ...COMMON,
    ],
    packages: GRPC,
  },
  bounds: {
    files: /^lib\/(call_bounds|token_bucket)\.ts$/,
    imports: [],
    packages: NO_PACKAGE,
  },
  rbac: {
    files: /^lib\/rbac\.ts$/,
    imports: ["role", ...COMMON],
    packages: NO_PACKAGE,
  },
  metrics: {
    files: /^lib\/metrics(_server)?\.ts$/,
    imports: ["rbac", "state", ...COMMON],
    packages: /^prom-client$/,
  },
  rules: {
    files: /^lib\/(access_rules|rule_file)\.ts$/,
    imports: ["rbac", "state", ...COMMON],
    packages: /^valibot$/,
  },
  role: {
    files: /^lib\/role\.ts$/,
    imports: [],
    packages: NOT_GRPC,
  },
  trust: {
    files: /^lib\/(client_trust|revocation_list|x509|expiry)\.ts$/,
    imports: [],
    packages: NOT_GRPC,
  },
  job: {
    files: /^lib\/job(_list)?\.ts$/,
    imports: ["state", "choices", "executor", "cgroup", "logs", "store", ...COMMON],
    packages: NO_PACKAGE,
  },
  store: {
    files: /^lib\/(store|log_sync)\.ts$/,
    imports: ["state", ...COMMON],
    packages: NO_PACKAGE,
  },
  logs: {
    files: /^lib\/(logs|log_growth|rotation)\.ts$/,
    imports: ["shim", ...COMMON],
    packages: NO_PACKAGE,
  },
  state: {
    files: /^lib\/job_(state|bounds|request)\.ts$/,
    imports: ["choices", "executor", "cgroup", ...COMMON],
    packages: NO_PACKAGE,
  },
  choices: {
    files: /^lib\/job_settings\.ts$/,
    imports: COMMON,
    packages: NO_PACKAGE,
  },
  executor: {
    files: /^lib\/((\w+_)?executor|adoption|job_folder|launchers|launch_\w+)\.ts$/,
    imports: ["choices", "cgroup", "shim", ...COMMON],
    packages: NO_PACKAGE,
  },
  cgroup: {
    files: /^lib\/cgroup(_\w+)?\.ts$/,
    imports: ["shim", ...COMMON],
    packages: NO_PACKAGE,
  },
  shim: {
    files: /^lib\/(shim\/\w+\.sh|scripts\.ts|shell\.ts)$/,
    imports: COMMON,
    packages: NO_PACKAGE,
  },
  readiness: {
    files: /^lib\/readiness\.ts$/,
    imports: ["shim", ...COMMON],
    packages: NO_PACKAGE,
  },
  memory: {
    files: /^lib\/memory_watch\.ts$/,
    imports: [],
    packages: NO_PACKAGE,
  },
  settings: {
    files: /^lib\/(build_info|log_folder)\.ts$/,
    imports: ["manifest", ...COMMON],
    packages: NO_PACKAGE,
  },
  common: {
    files: /^lib\/(errors|limits|log|utf8|trace_context)\.ts$/,
    imports: ["shared"],
    packages: NO_PACKAGE,
  },
  shared: {
    files: /^common\/\w+\.ts$/,
    imports: [],
    packages: NO_PACKAGE,
  },
  manifest: {
    files: /^deno\.json$/,
    imports: [],
    packages: NO_PACKAGE,
  },
};

/** Files of the kernel's control groups: one place knows their names. */
const KERNEL_FILES =
  /\/sys\/fs\/cgroup\/|\b(cgroup\.(procs|kill|events|freeze|type|threads|controllers|subtree_control)|memory\.(max|high|events|oom\.group|oom_control|limit_in_bytes|peak|stat)|cpu\.(max|stat|cfs_\w+)|cpuacct\.\w+|io\.(max|stat|weight)|blkio\.\w+|pids\.(max|current)|freezer\.state)\b/;
const KNOWS_KERNEL_FILES = /^lib\/(cgroup(_\w+)?\.ts|shim\/\w+\.sh)$/;

const STRING_OR_COMMENT =
  /("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g;
const IMPORT = /\b(?:from|import)\s*\(?\s*(["'`])([^"'`\n]+)\1/g;

function withoutComments(source: string): string {
  return source.replace(STRING_OR_COMMENT, (_, text: string | undefined) => text ?? " ");
}

function importsOf(source: string): string[] {
  return [...withoutComments(source).matchAll(IMPORT)].map((match) => match[2] ?? "");
}

function layerOf(path: string): string | undefined {
  return Object.keys(LAYERS).find((name) => LAYERS[name]?.files.test(path));
}

/** What is wrong with one file, one line a finding. */
function findViolations(path: string, source: string): string[] {
  const name = layerOf(path);
  const layer = LAYERS[name ?? ""];
  if (name === undefined || layer === undefined) {
    return [`${path} belongs to no layer: name it in the table of ${import.meta.filename}`];
  }
  const found: string[] = [];
  for (const specifier of path.endsWith(".ts") ? importsOf(source) : []) {
    if (specifier.startsWith("node:")) continue;
    if (!specifier.startsWith(".")) {
      if (!layer.packages.test(specifier)) {
        found.push(`${path} (${name}) must not import the package ${specifier}`);
      }
      continue;
    }
    const target = normalize(posix.join(posix.dirname(path), specifier));
    const below = layerOf(target);
    if (below !== name && (below === undefined || !layer.imports.includes(below))) {
      found.push(`${path} (${name}) must not import ${target} (${below ?? "no layer"})`);
    }
  }
  if (path.startsWith("lib/") && !KNOWS_KERNEL_FILES.test(path)) {
    const kernelFile = withoutComments(source).match(KERNEL_FILES)?.[0];
    if (kernelFile !== undefined) {
      found.push(`${path} (${name}) must not name the kernel file ${kernelFile}`);
    }
  }
  return found;
}

async function* walk(folder: string): AsyncGenerator<string> {
  for await (const entry of Deno.readDir(join(ROOT, folder))) {
    const path = posix.join(folder, entry.name);
    if (entry.isDirectory) yield* walk(path);
    else yield path;
  }
}

async function productFiles(): Promise<string[]> {
  const paths = ["server.ts", "client.ts"];
  for (const folder of ["lib", "common", "client", "certs", "proto"]) {
    for await (const path of walk(folder)) paths.push(path);
  }
  return paths.filter((path) => path.endsWith(".ts") || path.startsWith("lib/")).sort();
}

Deno.test("architecture: imports go downward only", async () => {
  const found: string[] = [];
  for (const path of await productFiles()) {
    found.push(...findViolations(path, await Deno.readTextFile(join(ROOT, path))));
  }
  assert.deepEqual(found, [], `\n${found.join("\n")}\n`);
});

Deno.test("architecture: no layer of the table is without files", async () => {
  const paths = [...await productFiles(), "deno.json"];
  const empty = Object.keys(LAYERS).filter((name) => !paths.some((path) => layerOf(path) === name));
  assert.deepEqual(empty, []);
});

Deno.test("architecture: no two layers claim a file", async () => {
  for (const path of await productFiles()) {
    const claims = Object.keys(LAYERS).filter((name) => LAYERS[name]?.files.test(path));
    assert.ok(claims.length <= 1, `${path} is in ${claims.join(" and ")}`);
  }
});

Deno.test("architecture: the client loads what speaks gRPC when it calls, and not for its help", async () => {
  const loaded = new Set<string>();
  const load = async (path: string) => {
    if (loaded.has(path)) return;
    loaded.add(path);
    if (!path.endsWith(".ts")) return;
    const source = withoutComments(await Deno.readTextFile(join(ROOT, path)));
    for (const [, clause = "", from = ""] of source.matchAll(STATIC_IMPORT)) {
      if (/^\s*type\s/.test(clause)) continue;
      await load(from.startsWith(".") ? posix.join(posix.dirname(path), from) : from);
    }
  };
  await load("client.ts");
  assert(loaded.has("client/verbs/stream.ts"), "the walk misses what is loaded");
  const dear = [...loaded].filter((path) =>
    /grpc|^proto\/|client\/(session|connection)/.test(path)
  );
  assert.deepEqual(dear, []);
});

/** `import CLAUSE from "PATH"` and `import "PATH"`, but not `import("PATH")`. */
const STATIC_IMPORT = /^import\s+(?:([^"']*?)\s+from\s+)?["']([^"']+)["']/gm;

/** What a file might hold, and what the rules say of it: undefined is nothing. */
const CASES: readonly (readonly [path: string, source: string, found: RegExp | undefined])[] = [
  ["lib/service.ts", 'import * as grpc from "@grpc/grpc-js";', undefined],
  ["lib/service.ts", 'import { JobManager } from "./job.ts";', undefined],
  ["lib/job.ts", 'import { Service } from "./service.ts";', /job\.ts \(job\).*service\.ts/],
  ["lib/job.ts", 'import type { status } from "@grpc/grpc-js";', /package @grpc\/grpc-js/],
  ["lib/job.ts", 'import { scripts } from "./scripts.ts";', /scripts\.ts \(shim\)/],
  ["lib/service.ts", 'import { planGroups } from "./cgroup.ts";', /cgroup\.ts/],
  ["lib/service.ts", 'import { Store } from "./store.ts";', /store\.ts/],
  ["lib/cgroup.ts", 'export * from "./executor.ts";', /executor\.ts/],
  ["lib/executor.ts", 'const late = await import("./job.ts");', /job\.ts/],
  ["lib/logs.ts", "import './store.ts';", /store\.ts/],
  ["lib/store.ts", 'import {\n  a,\n  b,\n} from "./logs.ts";', /logs\.ts/],
  ["lib/job.ts", '// import { Service } from "./service.ts";', undefined],
  [
    "lib/job.ts",
    '/* from "./service.ts" */ const url = "https://x"; // from "./service.ts"',
    undefined,
  ],
  ["lib/job.ts", 'import { stop } from "node:process";', undefined],
  ["lib/job.ts", 'import { a } from "../client/pem.ts";', /client\/pem\.ts/],
  ["lib/job.ts", 'import { a } from "../tools/build.ts";', /tools\/build\.ts \(no layer\)/],
  ["client.ts", 'import { can } from "./lib/rbac.ts";', /lib\/rbac\.ts/],
  ["client/pem.ts", 'import { readRoles } from "../lib/role.ts";', /lib\/role\.ts/],
  ["client/pem.ts", 'import { jobService } from "../proto/contract.ts";', undefined],
  ["certs/main.ts", 'import { roleOid } from "../lib/role.ts";', undefined],
  ["certs/main.ts", 'import { can } from "../lib/rbac.ts";', /lib\/rbac\.ts/],
  ["certs/main.ts", 'import "@grpc/grpc-js";', /package @grpc\/grpc-js/],
  ["proto/contract.ts", 'import "../lib/job.ts";', /lib\/job\.ts/],
  ["lib/executor.ts", 'const file = "cgroup.procs";', /kernel file cgroup\.procs/],
  ["lib/job.ts", "const folder = `/sys/fs/cgroup/${id}`;", /kernel file \/sys\/fs\/cgroup\//],
  ["lib/job.ts", "// The group's cgroup.procs is empty by now.", undefined],
  ["lib/cgroup_v1.ts", 'const file = "cpu.cfs_quota_us";', undefined],
  ["lib/shim/launch.sh", "echo 0 > cgroup.procs", undefined],
  ["lib/novelty.ts", "", /belongs to no layer/],
];

for (const [path, source, expected] of CASES) {
  Deno.test(`architecture: ${expected ? "refuses" : "accepts"} ${path} with ${source}`, () => {
    const found = findViolations(path, source);
    if (expected === undefined) assert.deepEqual(found, []);
    else assert.match(found.join("\n"), expected);
  });
}
