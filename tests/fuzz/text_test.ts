/** What people and shells write: limits, sizes, rules, settings, the launcher's files. */
// Attacks: the parsers of what people and shells write.
import * as fc from "fast-check";
import { strict as assert } from "node:assert";
import { BadRequestError, parseHead } from "../../common/http_head.ts";
import { parseCpuLimit, parseDiskIoLimit, parseMemoryLimit } from "../../common/limits.ts";
import { parseBytes, parseCount, parseDurationMs } from "../../common/quantities.ts";
import { parseBeginMs } from "../../client/command_line/begin_time.ts";
import { AccessRules, parseRules } from "../../lib/access/rules.ts";
import { parseHostReport, toCgroupHost } from "../../lib/cgroup/host.ts";
import { JobError } from "../../lib/errors.ts";
import { type AskedSettings, readSettings } from "../../lib/model/settings.ts";
import { parseLaunchRecord } from "../../lib/executor/launch_record.ts";
import { parseLaunchReport } from "../../lib/executor/launch_report.ts";
import { NOTHING } from "../support/asked_nothing.ts";
import { fuzz, mutatedText, succeeds } from "./fuzz.ts";

const isRangeError = (error: unknown) => error instanceof RangeError;

const NUMBERS: Readonly<Record<string, [parse: (text: string) => unknown, ...good: string[]]>> = {
  "CPU limits": [parseCpuLimit, "50%", "200.5 %", "max"],
  "memory limits": [parseMemoryLimit, "256M", "1.5 GiB", "max", "1048576B"],
  "disk limits": [parseDiskIoLimit, "10MB/s", "read=50MiB/s write=10KB/s", "read=max"],
  "durations": [parseDurationMs, "500ms", "10s", "1.5h", "7d"],
  "times to begin": [
    (text) => parseBeginMs(text, Date.UTC(2026, 4, 4)),
    "14:30",
    "2026-05-04T14:30:00+02:00",
    "in 2h",
    "+90s",
  ],
  "counts": [parseCount, "0", "4096", "9007199254740991"],
  "sizes": [parseBytes, "64M", "10 GiB", "0"],
};

for (const [what, [parse, ...good]] of Object.entries(NUMBERS)) {
  fuzz(what, {
    inputs: mutatedText(...good),
    holds: (text) => {
      succeeds(() => {
        const value = parse(text);
        const numbers = typeof value === "object" ? Object.values(value ?? {}) : [value];
        for (const number of numbers) {
          assert(number === undefined || Number.isFinite(number) && Number(number) >= 0);
        }
      }, isRangeError);
    },
  });
}

const RULES = JSON.stringify({
  rules: [{
    role: "writer",
    jobs: "own",
    commands: ["/bin/a", ["/bin/b", "*", "**"]],
    users: ["x"],
  }],
});

fuzz("rule files", {
  inputs: fc.oneof(
    mutatedText(RULES),
    fc.json(),
    fc.json().map((value) => `{"rules":[${value}]}`),
    fc.json().map((value) => `{"rules":[{"name":"a","commands":[${value}]}]}`),
  ),
  holds: (text) => {
    succeeds(
      () => assert(parseRules(text, "root") instanceof AccessRules),
      (error) => error instanceof Error && !(error instanceof TypeError) && error.message !== "",
    );
  },
});

fuzz("heads of HTTP requests", {
  inputs: mutatedText(
    "GET /a/b?c=d HTTP/1.1\r\nHost: 127.0.0.1:80\r\nOrigin: http://x",
    "POST //x/../ HTTP/1.0\r\nContent-Length: 12\r\nX-Y:",
    "POST http://x/ HTTP/1.1\r\nTransfer-Encoding: chunked",
  ),
  holds: (text) => {
    succeeds(() => {
      const { url, length } = parseHead(text);
      assert(URL.canParse(url));
      assert(length === "chunked" || Number.isSafeInteger(length) && length >= 0);
    }, (error) => error instanceof BadRequestError);
  },
});

const ANY_TEXT = fc.oneof(
  fc.string({ unit: "binary", maxLength: 80 }),
  fc.constantFrom("", "root", "/srv", "SIGINT", "a.b", "../..", "a\nb", "a\0b"),
);

const ASKED: fc.Arbitrary<AskedSettings> = fc.record({
  env: fc.dictionary(ANY_TEXT, ANY_TEXT, { maxKeys: 5 }),
  workingDirectory: ANY_TEXT,
  user: ANY_TEXT,
  timeoutMs: fc.oneof(fc.nat(), fc.maxSafeNat()),
  isolation: fc.constant(null),
  stopSignal: ANY_TEXT,
  title: ANY_TEXT,
  labels: fc.dictionary(ANY_TEXT, ANY_TEXT, { maxKeys: 5 }),
  stdin: fc.uint8Array({ maxLength: 100 }),
  openStdin: fc.boolean(),
  gracePeriodMs: fc.option(fc.nat({ max: 2 ** 31 - 1 }), { nil: undefined }),
  umask: fc.option(fc.nat({ max: 2 ** 31 - 1 }), { nil: undefined }),
  queue: ANY_TEXT,
  partition: ANY_TEXT,
  account: ANY_TEXT,
  qos: ANY_TEXT,
  nice: fc.option(fc.maxSafeInteger(), { nil: undefined }),
  openFiles: fc.nat(),
  cpus: fc.nat(),
  gpus: ANY_TEXT,
  constraint: ANY_TEXT,
  beginAtMs: fc.maxSafeInteger(),
  after: fc.array(ANY_TEXT, { maxLength: 3 }),
});

fuzz("settings of a start", {
  // All fields good but one or two: else the first refusal would hide the rest.
  inputs: fc.tuple(
    ASKED,
    fc.subarray([
      "env",
      "workingDirectory",
      "user",
      "stopSignal",
      "title",
      "labels",
      "partition",
      "account",
      "qos",
      "nice",
      "cpus",
      "gpus",
      "constraint",
      "beginAtMs",
      "after",
    ]),
  ),
  holds: ([asked, odd]) => {
    const plain = { ...NOTHING, stdin: asked.stdin };
    const request = {
      ...plain,
      ...Object.fromEntries(odd.map((name) => [name, asked[name as keyof AskedSettings]])),
    };
    succeeds(() => {
      const { settings, secrets } = readSettings(request, "root");
      const texts = [settings.user, settings.workingDirectory, settings.title];
      for (const text of [...texts, ...Object.keys(settings.labels)]) {
        assert(!/[\0\n]/.test(text), JSON.stringify(text));
      }
      for (const name of Object.keys(secrets.environment)) {
        assert(/^[^\0=]+$/.test(name), JSON.stringify(name));
      }
      assert(settings.workingDirectory.startsWith("/"));
    }, (error) => {
      assert(error instanceof JobError && error.kind === "invalid");
      assert(!/\p{Cc}/u.test(error.message), JSON.stringify(error.message));
      return true;
    });
  },
});

const BOOT = "9832c91b-1028-4bb3-bf34-8aefaa8b0122";
const LAUNCH_RECORD = `launcher 5498 270688 ${BOOT}\njob 5499 270690\nTerminated\nexit 143\n` +
  "counter memory.events\noom_kill 1\nend\n";

fuzz("launch records", {
  inputs: mutatedText(LAUNCH_RECORD, " ".repeat(4096), "withdrawn\n"),
  holds: (text) => {
    const { launcher, job, exit } = parseLaunchRecord(text);
    if (launcher !== undefined) assert(launcher.pid >= 0);
    if (exit !== undefined) assert(job !== undefined && text.includes("end\n"));
  },
});

fuzz("a launch record's beginning is never an end", {
  inputs: fc.nat({ max: LAUNCH_RECORD.length - 1 }),
  holds: (length) => parseLaunchRecord(LAUNCH_RECORD.slice(0, length)).exit === undefined,
});

fuzz("reports of launchers", {
  inputs: fc.tuple(
    mutatedText(
      "started 5499 270690\n",
      "refused limit\nrefused /sys/fs/x\nrefused 5\nrefused no\n",
    ),
    ANY_TEXT,
  ),
  holds: ([text, name]) => {
    const report = parseLaunchReport(text, name);
    if (report.kind === "started") return assert(Number.isFinite(report.pid));
    assert(report.error instanceof JobError);
    assert(report.error.kind === "internal" || !/[\n\0]/.test(report.error.message));
  },
});

fuzz("what the host says of itself", {
  inputs: mutatedText(
    `boot ${BOOT}\nmount cgroup2 /sys/fs/cgroup rw\ncontrollers /sys/fs/cgroup cpu memory io pids\n`,
    `mount cgroup /sys/fs/cgroup/memory rw,memory\nmount cgroup /sys/fs/cgroup/cpu rw,cpu,cpuacct\n`,
  ),
  holds: (text) => {
    const host = toCgroupHost(parseHostReport(text), "job-worker");
    for (const { folder } of host?.hierarchies ?? []) {
      assert(folder === "/sys/fs/cgroup" || folder.startsWith("/sys/fs/cgroup/"), folder);
      assert(!folder.includes("/../"), folder);
    }
  },
});
