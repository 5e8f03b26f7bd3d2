/**
 * Holds who may import whom: a row a room.
 *
 * A new folder needs a row in {@linkcode ROOMS}: the test says so when it meets one.
 */
import assert from "node:assert/strict";
import { join, normalize, posix } from "node:path";

const ROOT = join(import.meta.dirname ?? ".", "..", "..");

/** What the files of one room may import, besides each other. */
interface Room {
  /** Rooms below this one in the table. */
  readonly imports: readonly string[];
  /** npm packages; none unless given. */
  readonly packages?: RegExp;
}

const ANY_PACKAGE = /^/;
const GRPC = /^(@grpc\/|grpc-health-check$)/;
const VALIBOT = /^valibot$/;
const CERTIFICATES = /^(@peculiar\/|reflect-metadata$)/;

/** Needed everywhere, need nothing themselves. */
const BASE = ["common", "lib/errors", "lib/log"];

/** For what reads and writes in jobs' folders. */
const FILES = "lib/regular_file";

/** What each part of the client needs of the client as a whole. */
const CLIENT_BASE = ["common", "client/errors", "client/exit_status", "client/terminal"];

/**
 * The rooms, the highest first. A room is a folder with the file of the same name beside it (lib/job
 * is lib/job.ts and lib/job/), and may import rooms further down only: so there is no circle.
 */
const ROOMS: Readonly<Record<string, Room>> = {
  "server": {
    imports: [
      "lib/service",
      "lib/server",
      "lib/grpc",
      "lib/job",
      "lib/executor/slurm",
      "lib/executor",
      "lib/store",
      "lib/access",
      "lib/logs",
      "lib/tls",
      ...BASE,
    ],
    packages: /^commander$/,
  },
  "lib/service": {
    imports: ["lib/grpc", "lib/job", "lib/access", "lib/model", "lib/rbac", "contract", ...BASE],
    packages: GRPC,
  },
  "lib/server": {
    imports: [
      "lib/job",
      "lib/executor/slurm",
      "lib/executor",
      "lib/store",
      "lib/access",
      "lib/model",
      "lib/cgroup",
      "lib/rbac",
      "lib/limits",
      "lib/logs",
      "lib/tls",
      "lib/shim",
      "manifest",
      ...BASE,
    ],
    packages: /^(commander|prom-client|valibot)$/,
  },
  "lib/grpc": {
    imports: [
      "lib/job",
      "lib/access",
      "lib/model",
      "lib/rbac",
      "lib/limits",
      "lib/input",
      "lib/logs",
      "lib/tls",
      "contract",
      ...BASE,
    ],
    packages: GRPC,
  },
  "lib/job": {
    imports: [
      "lib/executor",
      "lib/store",
      "lib/model",
      "lib/cgroup",
      "lib/limits",
      "lib/input",
      "lib/logs",
      FILES,
      ...BASE,
    ],
  },
  "lib/executor/slurm": {
    imports: [
      "lib/executor",
      "lib/model",
      "lib/cgroup",
      "lib/limits",
      "lib/logs",
      "lib/shim",
      FILES,
      ...BASE,
    ],
  },
  "lib/executor": {
    imports: ["lib/model", "lib/cgroup", "lib/limits", "lib/input", "lib/shim", ...BASE],
  },
  "lib/store": {
    imports: ["lib/model", ...BASE],
    packages: VALIBOT,
  },
  "lib/access": {
    imports: ["lib/model", "lib/limits", "lib/rbac", ...BASE],
    packages: VALIBOT,
  },
  "lib/model": {
    imports: ["lib/cgroup", "lib/limits", ...BASE],
  },
  "lib/cgroup": {
    imports: ["lib/limits", ...BASE],
  },
  "lib/rbac": {
    imports: ["lib/tls", ...BASE],
  },
  "lib/limits": {
    imports: BASE,
  },
  "lib/input": {
    imports: BASE,
  },
  "lib/logs": {
    imports: ["lib/shim", FILES, ...BASE],
  },
  "lib/regular_file": {
    imports: BASE,
  },
  "client": {
    imports: [
      "client/program",
      ...CLIENT_BASE,
      "client/initialize_random",
    ],
  },
  "client/mod": {
    imports: ["client/api"],
  },
  "client/api": {
    imports: [
      "client/jobs",
      "client/connection",
      "client/endpoint",
      "contract",
      ...CLIENT_BASE,
    ],
  },
  "client/program": {
    imports: ["client/verbs", "client/command_line", "manifest", ...CLIENT_BASE],
    packages: /^commander$/,
  },
  "client/verbs": {
    imports: [
      "client/ui",
      "client/command_line",
      "client/screen",
      "client/jobs",
      "client/connection",
      "client/endpoint",
      "manifest",
      "contract",
      ...CLIENT_BASE,
    ],
    packages: ANY_PACKAGE,
  },
  "client/ui/page": {
    imports: ["client/ui", "client/screen", "client/jobs", "contract", "common"],
    packages: /^(preact|uplot)(\/|$)/,
  },
  "client/ui": {
    imports: [
      "client/command_line",
      "client/screen",
      "client/jobs",
      "client/connection",
      "manifest",
      "contract",
      ...CLIENT_BASE,
    ],
    packages: VALIBOT,
  },
  "client/command_line": {
    imports: [
      "client/screen",
      "client/jobs",
      "client/connection",
      "client/endpoint",
      "contract",
      ...CLIENT_BASE,
    ],
    packages: /^commander$/,
  },
  "client/screen": {
    imports: ["client/jobs", "contract", ...CLIENT_BASE],
    packages: /^string-width$/,
  },
  "client/jobs": {
    imports: [
      "client/connection/bulk",
      "client/connection",
      "contract",
      ...CLIENT_BASE,
    ],
  },
  "client/connection/bulk": {
    imports: ["client/connection", "client/endpoint", "contract", ...CLIENT_BASE],
  },
  "client/connection": {
    imports: ["client/endpoint", "contract", ...CLIENT_BASE],
  },
  "client/endpoint": {
    imports: CLIENT_BASE,
    packages: ANY_PACKAGE,
  },
  "client/terminal": {
    imports: ["client/errors", "client/exit_status", "common"],
    packages: ANY_PACKAGE,
  },
  "client/errors": {
    imports: ["client/exit_status", "common"],
  },
  "client/exit_status": { imports: [] },
  "client/initialize_random": {
    imports: [],
  },
  "certs": {
    imports: ["lib/tls", "manifest", "common"],
    packages: /^(?!@grpc\/)/,
  },
  "lib/tls": {
    imports: BASE,
    packages: CERTIFICATES,
  },
  "contract": {
    imports: [],
    packages: /^(@grpc\/|protobufjs$)/,
  },
  "lib/shim": { imports: BASE },
  "lib/log": { imports: ["lib/errors", "common"] },
  "lib/errors": { imports: ["common"] },
  "common": { imports: [] },
  "manifest": { imports: [] },
};

/** Files of the kernel's control groups: one place knows their names. */
const KERNEL_FILES =
  /\/sys\/fs\/cgroup\/|\b(cgroup\.(procs|kill|events|freeze|type|threads|controllers|subtree_control)|memory\.(max|high|events|oom\.group|oom_control|limit_in_bytes|peak|stat)|cpu\.(max|stat|cfs_\w+)|cpuacct\.\w+|io\.(max|stat|weight)|blkio\.\w+|pids\.(max|current)|freezer\.state)\b/;
const KNOWS_KERNEL_FILES =
  /^lib\/(cgroup\.ts|cgroup\/\w+\.ts|executor\/group_files\.ts|shim\/\w+\.sh)$/;

/** What follows links, waits for pipes, or both; a file that is made anew is neither. */
const UNSAFE_OPEN =
  /\bDeno\.(?:open|create|stat|truncate|copyFile|(?:read|write)(?:Text)?File)(?:Sync)?\((?![^;]*\bcreateNew: true\b)/;
/** Work in jobs' folders, but for two that look at the file system as a whole. */
const OPENS_JOBS_FILES =
  /^lib\/(?:logs|executor\/slurm)(?:\.ts|\/(?!rotation\.ts|share\.ts)\w+\.ts)$/;

const STRING_OR_COMMENT =
  /("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g;
const IMPORT = /\b(?:from|import)\s*\(?\s*(["'`])([^"'`\n]+)\1/g;

function withoutComments(source: string): string {
  return source.replace(STRING_OR_COMMENT, (_, text: string | undefined) => text ?? " ");
}

function importsOf(source: string): string[] {
  return [...withoutComments(source).matchAll(IMPORT)].map((match) => match[2] ?? "");
}

/** The room that a file belongs to; undefined where the table has none. */
function roomOf(path: string): string | undefined {
  if (path === "deno.json") return "manifest";
  if (/^(proto|build\/gen)\//.test(path)) return "contract";
  const face = path.replace(/\.tsx?$/, "");
  if (Object.hasOwn(ROOMS, face)) return face;
  const folder = posix.dirname(path);
  // The shim's folder is one room, with its scripts.
  return Object.hasOwn(ROOMS, folder) && folder !== "client" ? folder : undefined;
}

/** What is wrong with one file, one line a finding. */
function findViolations(path: string, source: string): string[] {
  const name = roomOf(path);
  const room = ROOMS[name ?? ""];
  if (name === undefined || room === undefined) {
    return [`${path} belongs to no room: name it in the table of ${import.meta.filename}`];
  }
  const found: string[] = [];
  for (const specifier of /\.tsx?$/.test(path) ? importsOf(source) : []) {
    if (specifier.startsWith("node:")) continue;
    if (!specifier.startsWith(".")) {
      if (room.packages?.test(specifier) !== true) {
        found.push(`${path} (${name}) must not import the package ${specifier}`);
      }
      continue;
    }
    const target = normalize(posix.join(posix.dirname(path), specifier));
    const below = roomOf(target);
    if (below !== name && (below === undefined || !room.imports.includes(below))) {
      found.push(`${path} (${name}) must not import ${target} (${below ?? "no room"})`);
    }
  }
  if (path.startsWith("lib/") && !KNOWS_KERNEL_FILES.test(path)) {
    const kernelFile = withoutComments(source).match(KERNEL_FILES)?.[0];
    if (kernelFile !== undefined) {
      found.push(`${path} (${name}) must not name the kernel file ${kernelFile}`);
    }
  }
  const unsafe = OPENS_JOBS_FILES.test(path) && UNSAFE_OPEN.exec(withoutComments(source))?.[0];
  if (unsafe) found.push(`${path} (${name}) must use lib/regular_file.ts instead of ${unsafe}`);
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
  return paths.filter((path) => /\.tsx?$/.test(path) || path.startsWith("lib/")).sort();
}

Deno.test("architecture: imports go downward only", async () => {
  const found: string[] = [];
  for (const path of await productFiles()) {
    found.push(...findViolations(path, await Deno.readTextFile(join(ROOT, path))));
  }
  assert.deepEqual(found, [], `\n${found.join("\n")}\n`);
});

Deno.test("architecture: no room of the table is without files", async () => {
  const paths = [...await productFiles(), "deno.json"];
  const empty = Object.keys(ROOMS).filter((name) => !paths.some((path) => roomOf(path) === name));
  assert.deepEqual(empty, []);
});

Deno.test("architecture: rooms may import what stands further down in the table, and nothing else", () => {
  const names = Object.keys(ROOMS);
  const upward = Object.entries(ROOMS).flatMap(([name, { imports }]) =>
    imports.filter((other) => names.indexOf(other) <= names.indexOf(name))
      .map((other) => `${name} -> ${other}`)
  );
  assert.deepEqual(upward, []);
});

Deno.test("architecture: no file imports itself by way of others", async () => {
  const imports = new Map<string, string[]>();
  for (const path of await productFiles()) {
    if (!/\.tsx?$/.test(path)) continue;
    const source = await Deno.readTextFile(join(ROOT, path));
    imports.set(
      path,
      importsOf(source).filter((specifier) => specifier.startsWith("."))
        .map((specifier) => normalize(posix.join(posix.dirname(path), specifier))),
    );
  }
  assert.deepEqual(findCircles(imports), []);
});

/** Files that come back to themselves, each with the way. */
function findCircles(imports: ReadonlyMap<string, readonly string[]>): string[] {
  const done = new Set<string>();
  const circles: string[] = [];
  const visit = (path: string, way: readonly string[]) => {
    const begin = way.indexOf(path);
    if (begin !== -1) circles.push([...way.slice(begin), path].join(" -> "));
    if (begin !== -1 || done.has(path)) return;
    for (const next of imports.get(path) ?? []) visit(next, [...way, path]);
    done.add(path);
  };
  for (const path of imports.keys()) visit(path, []);
  return circles;
}

Deno.test("findCircles: names the way, and nothing where there is none", () => {
  const straight = new Map([["a", ["b", "c"]], ["b", ["c"]], ["c", []]]);
  assert.deepEqual(findCircles(straight), []);
  assert.deepEqual(findCircles(new Map([...straight, ["c", ["b"]]])), ["b -> c -> b"]);
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
  const expensive = [...loaded].filter((path) =>
    /grpc|^proto\/|^client\/connection\/(session|connection)/.test(path)
  );
  assert.deepEqual(expensive, []);
});

/** `import CLAUSE from "PATH"` and `import "PATH"`, but not `import("PATH")`. */
const STATIC_IMPORT = /^import\s+(?:([^"']*?)\s+from\s+)?["']([^"']+)["']/gm;

/** What a file might hold, and what the rules say of it: undefined is nothing. */
const CASES: readonly (readonly [path: string, source: string, found: RegExp | undefined])[] = [
  ["lib/service.ts", 'import * as grpc from "@grpc/grpc-js";', undefined],
  ["lib/service.ts", 'import { JobManager } from "./job.ts";', undefined],
  ["lib/job.ts", 'import { Service } from "./service.ts";', /job\.ts \(lib\/job\).*service\.ts/],
  ["lib/job/starts.ts", 'import { a } from "../service.ts";', /\(lib\/job\).*service\.ts/],
  ["lib/job/starts.ts", 'import { a } from "../job.ts";', undefined],
  ["lib/job.ts", 'import type { status } from "@grpc/grpc-js";', /package @grpc\/grpc-js/],
  ["lib/tls/x509.ts", 'import "@grpc/grpc-js";', /package @grpc\/grpc-js/],
  ["lib/server/doctor.ts", 'import "@grpc/grpc-js";', /package @grpc\/grpc-js/],
  ["lib/job.ts", 'import { scripts } from "./shim/scripts.ts";', /scripts\.ts \(lib\/shim\)/],
  ["lib/cgroup/v1.ts", 'import { a } from "../shim/shell.ts";', /shell\.ts \(lib\/shim\)/],
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
  ["lib/job.ts", 'import { a } from "../client/errors.ts";', /client\/errors\.ts/],
  [
    "lib/job.ts",
    'import { a } from "../tools/build/main.ts";',
    /tools\/build\/main\.ts \(no room\)/,
  ],
  ["client.ts", 'import { can } from "./lib/rbac.ts";', /lib\/rbac\.ts/],
  ["client/errors.ts", 'import { a } from "../lib/tls/role.ts";', /lib\/tls\/role\.ts/],
  ["client/connection/call.ts", 'import "@grpc/grpc-js";', /package @grpc\/grpc-js/],
  ["client/jobs/list.ts", 'import { a } from "../screen/table.ts";', /screen\/table\.ts/],
  ["client/jobs/list.ts", 'import { a } from "../../proto/contract.ts";', undefined],
  ["client/ui/page/app.tsx", 'import { a } from "../../../lib/job.ts";', /lib\/job\.ts/],
  ["certs/main.ts", 'import { roleOid } from "../lib/tls/role.ts";', undefined],
  ["certs/main.ts", 'import { can } from "../lib/rbac.ts";', /lib\/rbac\.ts/],
  ["certs/main.ts", 'import "@grpc/grpc-js";', /package @grpc\/grpc-js/],
  ["proto/contract.ts", 'import "../lib/job.ts";', /lib\/job\.ts/],
  ["lib/executor.ts", 'const file = "cgroup.procs";', /kernel file cgroup\.procs/],
  ["lib/job.ts", "const folder = `/sys/fs/cgroup/${id}`;", /kernel file \/sys\/fs\/cgroup\//],
  ["lib/job.ts", "// The group's cgroup.procs is empty by now.", undefined],
  ["lib/cgroup/v1.ts", 'const file = "cpu.cfs_quota_us";', undefined],
  ["lib/shim/launch.sh", "echo 0 > cgroup.procs", undefined],
  ["lib/logs/gaps.ts", "await Deno.writeFile(path, line, { append: true });", /regular_file\.ts/],
  ["lib/executor/slurm/place.ts", "Deno.writeFile(path, line, { createNew: true });", undefined],
  ["lib/novelty.ts", "", /belongs to no room/],
  ["lib/novelty/file.ts", "", /belongs to no room/],
  ["client/novelty.ts", "", /belongs to no room/],
];

for (const [path, source, expected] of CASES) {
  Deno.test(`architecture: ${expected ? "refuses" : "accepts"} ${path} with ${source}`, () => {
    const found = findViolations(path, source);
    if (expected === undefined) assert.deepEqual(found, []);
    else assert.match(found.join("\n"), expected);
  });
}
