import { strict as assert } from "node:assert";
import { parseRules } from "../../lib/access/rules.ts";
import { JobError } from "../../lib/errors.ts";
import type { JobRequest } from "../../lib/model/request.ts";
import { DEFAULT_SETTINGS } from "../../lib/model/settings.ts";
import type { Caller } from "../../lib/rbac.ts";

const ALICE: Caller = { name: "alice", serial: "1", roles: ["writer"] };
const BOB: Caller = { name: "bob", serial: "2", roles: ["reader"] };

function rulesOf(rules: readonly unknown[], defaultUser = "root") {
  return parseRules(JSON.stringify({ rules }), defaultUser);
}

interface Asked {
  user?: string;
  workingDirectory?: string;
  environment?: Record<string, string>;
}

function request([name = "", ...args]: readonly string[], asked: Asked = {}): JobRequest {
  const { environment = {}, ...settings } = asked;
  return {
    command: { name, args },
    settings: { ...DEFAULT_SETTINGS, ...settings },
    secrets: { environment, input: new Uint8Array() },
    limits: {},
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

Deno.test("AccessRules: jobs run as the server's user, and as others only where a rule allows it", () => {
  const strict = rulesOf([], "worker");
  strict.requireStart(ALICE, request(["a"], { user: "worker" }));
  for (const user of ["root", "nobody"]) {
    assertDenied(() => strict.requireStart(ALICE, request(["a"], { user })));
  }
  const listed = rulesOf([{ role: "writer", users: ["nobody"] }], "worker");
  listed.requireStart(ALICE, request(["a"], { user: "worker" }));
  listed.requireStart(ALICE, request(["a"], { user: "nobody" }));
  assertDenied(() => listed.requireStart(ALICE, request(["a"], { user: "root" })));
  const nobody = rulesOf([{ name: "alice", users: [] }]);
  assertDenied(() => nobody.requireStart(ALICE, request(["a"], { user: "nobody" })));
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
  ];
  for (const [text, place] of broken) assert.throws(() => parseRules(text, "root"), place, text);
});
