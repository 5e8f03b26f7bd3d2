import { strict as assert } from "node:assert";
import { parseRules } from "../../lib/access/rules.ts";
import { JobError } from "../../lib/errors.ts";
import type { JobRequest } from "../../lib/model/request.ts";
import { OWNER_UID } from "../../lib/model/owner_uids.ts";
import { DEFAULT_SETTINGS } from "../../lib/model/settings.ts";
import type { Caller } from "../../lib/rbac.ts";

const ALICE: Caller = { name: "alice", serial: "1", roles: ["writer"] };
const BOB: Caller = { name: "bob", serial: "2", roles: ["reader"] };

function rulesOf(rules: readonly unknown[], defaultUser = "root") {
  return parseRules(JSON.stringify({ rules }), defaultUser);
}

interface Asked extends Partial<Omit<JobRequest["settings"], "isolation">> {
  environment?: Record<string, string>;
  input?: Uint8Array;
  limits?: JobRequest["limits"];
  isolation?: Partial<JobRequest["settings"]["isolation"]>;
}

function request([name = "", ...args]: readonly string[], asked: Asked = {}): JobRequest {
  const { environment = {}, input = new Uint8Array(), limits = {}, isolation, ...settings } = asked;
  return {
    command: { name, args },
    settings: {
      ...DEFAULT_SETTINGS,
      ...settings,
      isolation: { ...DEFAULT_SETTINGS.isolation, ...isolation },
    },
    secrets: { environment, input },
    limits,
  };
}

function assertDenied(action: () => void, message = /rule file does not allow it/): void {
  assert.throws(action, (error) => {
    assert(error instanceof JobError);
    assert.equal(error.kind, "denied");
    assert.match(error.message, message);
    return true;
  });
}

Deno.test("AccessRules: without a rule for a caller the role alone decides", () => {
  for (const rules of [rulesOf([]), rulesOf([{ name: "carol", methods: [] }])]) {
    rules.requireMethod(ALICE, "Start");
    rules.requireStart(ALICE, request(["sh"], { user: "nobody", environment: { A: "1" } }));
    assert(rules.mayTouchJobsOf(ALICE, "bob"));
  }
});

Deno.test("AccessRules: a rule says in which queues jobs may start, and whether without one", () => {
  const inQueue = (queue?: string) =>
    request(["sh"], queue === undefined ? {} : { queue: { queue } });
  const rules = rulesOf([{ name: "alice", queues: ["builds", "night"] }, { role: "reader" }]);
  rules.requireStart(ALICE, inQueue("builds"));
  rules.requireStart(BOB, inQueue("other"));
  assertDenied(
    () => rules.requireStart(ALICE, inQueue("other")),
    /may not start a job in the queue "other", only in builds or night \(--queue\)/,
  );
  assertDenied(() => rules.requireStart(ALICE, inQueue()), /without a queue, only in builds/);
  const free = rulesOf([{ name: "alice", queues: ["", "builds"] }]);
  for (const queue of [undefined, "builds"]) free.requireStart(ALICE, inQueue(queue));
  assertDenied(() => free.requireStart(ALICE, inQueue("night")));
  const none = rulesOf([{ name: "alice", queues: [""] }]);
  none.requireStart(ALICE, inQueue());
  assertDenied(() => none.requireStart(ALICE, inQueue("builds")), /in the queue "builds": the/);
  assert.throws(() => rulesOf([{ name: "alice", queues: ["a b"] }]), /name of a queue/);
});

Deno.test("AccessRules: a group that the job's user is not in needs a rule with both names", () => {
  const asked = (group: string | undefined, isOfItsGroup: boolean, user = "nobody") => ({
    ...request(["true"], { user, ...(group !== undefined && { group }) }),
    ...(isOfItsGroup && { isOfItsGroup: true as const }),
  });
  const none = rulesOf([]);
  none.requireStart(ALICE, asked("nogroup", true));
  const refusal =
    /nobody is not in the group docker, and no rule lets alice run jobs as nobody:docker/;
  assertDenied(() => none.requireStart(ALICE, asked("docker", false)), refusal);
  const plain = rulesOf([{ name: "alice", users: ["nobody"] }]);
  plain.requireStart(ALICE, asked("nogroup", true));
  assertDenied(() => plain.requireStart(ALICE, asked("docker", false)), refusal);
  const named = rulesOf([{ name: "alice", users: ["nobody:docker"] }], "nobody");
  named.requireStart(ALICE, asked("docker", false));
  for (const other of [asked(undefined, false), asked("disk", false), asked("nogroup", true)]) {
    assertDenied(() => named.requireStart(ALICE, other), /only as nobody:docker \(--user\)/);
  }
  const both = rulesOf([
    { name: "alice", users: ["nobody", "nobody:docker"] },
    { role: "writer", users: ["nobody"] },
  ]);
  assertDenied(() => both.requireStart(ALICE, asked("docker", false)), refusal);
  const narrow = rulesOf([{ name: "alice", users: ["nobody"], commands: ["true"] }]);
  narrow.requireStart(ALICE, asked(undefined, false));
  assertDenied(() => narrow.requireStart(ALICE, asked("nogroup", true)), /^no rule lets alice/);
  // A job user of the server is no leave for any group.
  assertDenied(() => rulesOf([], "nobody").requireStart(ALICE, asked("docker", false)), refusal);
  assertDenied(
    () => none.requireStart(ALICE, asked("root", false, "backup")),
    /not in the group root/,
  );
});

Deno.test("AccessRules: every rule for the caller must allow it", () => {
  const rules = rulesOf([
    { role: "writer", methods: ["Start", "Stop"] },
    { name: "alice", methods: ["Stop", "Query"] },
    { role: "reader", name: "alice", methods: [] },
  ]);
  rules.requireMethod(ALICE, "Stop");
  for (const method of ["Start", "Query", "Stream", "stop", ""]) {
    assertDenied(() => rules.requireMethod(ALICE, method), /alice may not call/);
  }
  rules.requireMethod(BOB, "Query");
});

Deno.test("AccessRules: commands match word by word, and as a whole", () => {
  const rules = rulesOf([{
    role: "writer",
    commands: ["/bin/a", ["/bin/b"], ["/bin/c", "x", "*", "z"], ["/bin/d", "*", "**"], ["*", "ok"]],
  }]);
  const allowed = [
    ["/bin/a"],
    ["/bin/a", "1", "2"],
    ["/bin/b"],
    ["/bin/c", "x", "anything", "z"],
    ["/bin/c", "x", "", "z"],
    ["/bin/d", "1"],
    ["/bin/d", "1", "2", "3"],
    ["whatever", "ok"],
  ];
  for (const words of allowed) rules.requireStart(ALICE, request(words));
  const refused = [
    [],
    ["/bin/a2"],
    ["a"],
    ["/bin/a "],
    ["/bin/b", "1"],
    ["/bin/c", "x", "z"],
    ["/bin/c", "x", "1", "z", "2"],
    ["/bin/c", "y", "1", "z"],
    ["/bin/d"],
    ["**"],
    ["*"],
    ["whatever", "ok", "more"],
  ];
  for (const words of refused) {
    assertDenied(() => rules.requireStart(ALICE, request(words)), /may not start this command/);
  }
});

Deno.test("AccessRules: listed commands run in the plain environment unless a rule gives more", () => {
  const plain = rulesOf([{ name: "alice", commands: ["/bin/a"] }]);
  const words = ["/bin/a"];
  assertDenied(
    () => plain.requireStart(ALICE, request(words, { environment: { PATH: "/x" } })),
    /PATH/,
  );
  assertDenied(() => plain.requireStart(ALICE, request(words, { workingDirectory: "/tmp" })));
  assertDenied(() => plain.requireStart(ALICE, request(words, { user: "nobody" })), /as nobody/);
  const wide = rulesOf([{
    name: "alice",
    commands: ["/bin/a"],
    environment: ["LANG"],
    directories: ["/srv"],
    users: ["nobody"],
  }]);
  wide.requireStart(
    ALICE,
    request(words, { environment: { LANG: "C" }, workingDirectory: "/srv", user: "nobody" }),
  );
  assertDenied(() => wide.requireStart(ALICE, request(words, { workingDirectory: "/" })));
  assertDenied(() =>
    wide.requireStart(
      ALICE,
      request(words, { workingDirectory: "/srv", environment: { lang: "" } }),
    )
  );
});

/** Each option of a start that changes how a command runs. */
const OPTIONS: Readonly<Record<string, Asked>> = {
  "stdin": { input: new Uint8Array(1) },
  "umask": { umask: 0 },
  "timeout": { timeoutMs: 1 },
  "grace": { graceMs: 0 },
  "stop-signal": { stopSignal: "USR1" },
  "limits": { limits: { processes: 1 } },
  "nofile": { openFiles: 64 },
  "private-tmp": { isolation: { privateTmp: true } },
  "no-network": { isolation: { noNetwork: true } },
  "own-processes": { isolation: { ownProcesses: true } },
};

Deno.test("AccessRules: listed commands run as they are, unless a rule gives options", () => {
  const words = ["/bin/a"];
  for (const [option, asked] of Object.entries(OPTIONS)) {
    const start = (rule: object) => () =>
      rulesOf([{ name: "alice", ...rule }]).requireStart(ALICE, request(words, asked));
    start({})();
    const spoken = option === "limits"
      ? /may not use limits of its own/
      : `may not use --${option}`;
    assertDenied(start({ commands: words }), new RegExp(spoken));
    start({ commands: words, options: [option] })();
    assertDenied(start({ options: [] }), new RegExp(spoken));
    const others = Object.keys(OPTIONS).filter((other) => other !== option);
    assertDenied(start({ options: others }), new RegExp(spoken));
  }
});

Deno.test("AccessRules: an input that comes later is one", () => {
  const asked = request(["/bin/a"], { openStdin: true });
  const start = (rule: object) => () =>
    rulesOf([{ name: "alice", commands: ["/bin/a"], ...rule }]).requireStart(ALICE, asked);
  assertDenied(start({}), /may not use --stdin/);
  start({ options: ["stdin"] })();
});

Deno.test("AccessRules: a name and labels do not change how a listed command runs", () => {
  const rules = rulesOf([{ name: "alice", commands: ["/bin/a"] }]);
  rules.requireStart(ALICE, request(["/bin/a"], { title: "nightly", labels: { a: "b" } }));
});

Deno.test("AccessRules: a rule demands isolation, also of listed commands", () => {
  const rules = rulesOf([
    { role: "writer", isolation: ["private-tmp", "own-processes"] },
    { name: "alice", commands: ["/bin/a"] },
  ]);
  const start = (isolation: Asked["isolation"]) => () =>
    rules.requireStart(ALICE, request(["/bin/a"], { ...(isolation && { isolation }) }));
  assertDenied(start(undefined), /alice may not start a job without --private-tmp/);
  assertDenied(start({ privateTmp: true }), /without --own-processes/);
  start({ privateTmp: true, ownProcesses: true })();
  assertDenied(
    start({ privateTmp: true, ownProcesses: true, noNetwork: true }),
    /may not use --no-network/,
  );
});

Deno.test("AccessRules: a rule about variables holds for those of a trace as well", () => {
  const cases: [rules: object[], isPassed: boolean][] = [
    [[], true],
    [[{ name: "carol", commands: [] }], true],
    [[{ name: "alice", users: ["nobody"] }], true],
    [[{ name: "alice", commands: ["/bin/a"] }], false],
    [[{ name: "alice", environment: ["LANG"] }], false],
    [[{ name: "alice", commands: ["/bin/a"], environment: ["TRACESTATE"] }], true],
    [[{ name: "alice", environment: ["TRACESTATE"] }, { role: "writer", commands: [] }], false],
  ];
  for (const [rules, isPassed] of cases) {
    const text = JSON.stringify(rules);
    assert.equal(rulesOf(rules).mayPassVariable(ALICE, "TRACESTATE"), isPassed, text);
  }
});

Deno.test("AccessRules: without a rule about users jobs run as the server's user, or as anyone from root", () => {
  const strict = rulesOf([], "worker");
  strict.requireStart(ALICE, request(["a"], { user: "worker" }));
  for (const user of ["root", "nobody"]) {
    assertDenied(() => strict.requireStart(ALICE, request(["a"], { user })));
  }
});

Deno.test("AccessRules: with a rule about users jobs run as these, and not as the server's user", () => {
  for (const defaultUser of ["root", "worker"]) {
    const listed = rulesOf([
      { role: "writer", users: ["nobody", "daemon", "deploy"] },
      { name: "alice", users: ["nobody", "deploy"], commands: ["a"] },
    ], defaultUser);
    listed.requireStart(ALICE, request(["a"], { user: "nobody" }));
    for (const user of ["root", "worker", "daemon", "Nobody", "nobody "]) {
      assertDenied(
        () => listed.requireStart(ALICE, request(["a"], { user })),
        /may not run jobs as \w+ ?, only as nobody or deploy \(--user\):/,
      );
    }
    const noOne = rulesOf([{ name: "alice", users: [] }], defaultUser);
    for (const user of ["nobody", defaultUser]) {
      assertDenied(() => noOne.requireStart(ALICE, request(["a"], { user })), /as \w+: the server/);
    }
  }
});

Deno.test("AccessRules: a uid of the caller's own needs no rule about users", () => {
  const rules = rulesOf([{ name: "alice", users: ["nobody"] }], OWNER_UID);
  rules.requireStart(ALICE, request(["a"], { user: OWNER_UID }));
  assertDenied(() => rules.requireStart(ALICE, request(["a"], { user: "root" })));
});

Deno.test("AccessRules: who is not named may call nothing, where the file says so", () => {
  const named = [{ role: "writer", jobs: "own" }, { name: "alice", role: "writer" }];
  const parse = (unnamed: string) => parseRules(JSON.stringify({ unnamed, rules: named }), "root");
  const carol = { ...ALICE, name: "carol" };
  const nameless = { ...ALICE, name: "" };
  parse("refused").requireMethod(ALICE, "Start");
  for (const caller of [carol, BOB, nameless, { ...ALICE, roles: ["reader"] as const }]) {
    for (const method of ["Start", "Query", "Info", "Health/Check"]) {
      assertDenied(() => parse("refused").requireMethod(caller, method), /no rule names ".*"/);
      parse("allowed").requireMethod(caller, method);
    }
  }
  const empty = parseRules('{"unnamed":"refused","rules":[]}', "root");
  assertDenied(() => empty.requireMethod(ALICE, "Query"), /no rule names "alice"/);
});

Deno.test("AccessRules: a rule limits a caller to its own jobs", () => {
  const rules = rulesOf([{ name: "alice", jobs: "own" }, { role: "writer", jobs: "all" }]);
  assert(rules.ownJobsOnly(ALICE));
  assert(rules.mayTouchJobsOf(ALICE, "alice"));
  for (const owner of ["bob", "", "Alice"]) assert(!rules.mayTouchJobsOf(ALICE, owner), owner);
  assert(rules.mayTouchJobsOf(BOB, "alice"));
});

Deno.test("parseRules: an invalid rule is refused with its place in the file", () => {
  const broken: [string, RegExp][] = [
    ["", /it is not valid JSON/],
    ["null", /the whole/],
    ["[]", /./],
    ["{}", /rules/],
    ['{"rules":{}}', /rules/],
    ['{"rules":[1]}', /rules\.0/],
    ['{"rules":[{"name":""}]}', /rules\.0\.name/],
    ['{"rules":[{"name":"a","jobs":"mine"}]}', /rules\.0\.jobs/],
    ['{"rules":[{"name":"a","commands":[[]]}]}', /rules\.0\.commands\.0/],
    ['{"rules":[{"name":"a","commands":[""]}]}', /rules\.0\.commands\.0/],
    ['{"rules":[{"name":"a","commands":["a",["b","**","c"]]}]}', /rules\.0\.commands\.1/],
    ['{"rules":[{"name":"a","users":"nobody"}]}', /rules\.0\.users/],
    ['{"rules":[],"__proto__x":1}', /./],
    ['{"rules":[],"unnamed":"deny"}', /unnamed/],
    ['{"rules":[{"name":"a","options":["env"]}]}', /rules\.0\.options\.0/],
    ['{"rules":[{"name":"a","isolation":["umask"]}]}', /rules\.0\.isolation\.0/],
    ['{"rules":[{"name":"a"}],"rules":[]}', /given twice/],
    [
      '{"rules":[{"name":"a","users":["b"]},{"name":"c","users" :[],"us\\u0065rs":["d"]}]}',
      /twice/,
    ],
    ['{"rules":[{"name":"a","__proto__":{}}]}', /./],
  ];
  for (const [text, place] of broken) assert.throws(() => parseRules(text, "root"), place, text);
});

Deno.test("parseRules: texts that look like a field are none", () => {
  const rules = rulesOf([{
    name: "alice",
    commands: [["/bin/a", '"name":', "name", '{"name": 1}', "\\"]],
  }]);
  rules.requireStart(ALICE, request(["/bin/a", '"name":', "name", '{"name": 1}', "\\"]));
});
