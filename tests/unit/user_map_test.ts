/** The user map: who runs as whom on a cluster, and how its file is read. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { parseUserMap } from "../../lib/access/user_map.ts";
import { UserMapFile } from "../../lib/access/user_map_file.ts";
import { AccessRules } from "../../lib/access/rules.ts";
import { readRules } from "../../lib/access/rule_schema.ts";
import { MAPPED_USER } from "../../lib/model/mapped_user.ts";
import type { JobRequest } from "../../lib/model/request.ts";
import { DEFAULT_SETTINGS } from "../../lib/model/settings.ts";
import type { Caller } from "../../lib/rbac.ts";
import { CapturedLog } from "../support/captured_log.ts";
import { ALICE } from "../support/fake_http2.ts";
import { assertJobError } from "../support/job_errors.ts";

const MAP = `# who             runs as
name alice          asmith,lab

name "Bob B. \\"x\\"" bob
role writer         jobs
`;

function caller(name: string, ...roles: Caller["roles"]): Caller {
  return { name, serial: "1", roles };
}

/** A start of a program; no user: none is asked for. */
function request(user = MAPPED_USER): JobRequest {
  return {
    command: { name: "true", args: [] },
    settings: { ...DEFAULT_SETTINGS, user },
    secrets: { environment: {}, input: new Uint8Array() },
    limits: {},
  };
}

Deno.test("UserMap: a client's own line holds, else that of a role, else none", () => {
  const map = parseUserMap(MAP);
  assert.deepEqual(map.accountsOf(caller("alice", "writer")), ["asmith", "lab"]);
  assert.deepEqual(map.accountsOf(caller('Bob B. "x"', "writer")), ["bob"]);
  assert.deepEqual(map.accountsOf(caller("carol", "reader", "writer")), ["jobs"]);
  assert.deepEqual(map.accountsOf(caller("carol", "reader")), []);
  // A name is no role, whatever it is.
  assert.deepEqual(map.accountsOf(caller("writer", "reader")), []);
  assert.deepEqual(map.accounts, ["asmith", "lab", "bob", "jobs"]);
});

Deno.test("UserMap: a job runs as the first user, or as another one that the map gives", async () => {
  const map = parseUserMap(MAP);
  const alice = caller("alice", "writer");
  assert.equal(map.place(alice, request()).settings.user, "asmith");
  assert.equal(map.place(alice, request("lab")).settings.user, "lab");
  const asOther = (user: string, who = alice) => async () => await map.place(who, request(user));
  await assertJobError(
    asOther("bob")(),
    "denied",
    /alice may not run jobs as bob, only as asmith or lab \(--user\): the server's user map/,
  );
  await assertJobError(
    asOther(MAPPED_USER, caller("eve\u001b", "reader"))(),
    "denied",
    /the server's user map \(--user-map\) has no line for "eve\\u001b"/,
  );
});

Deno.test("AccessRules: with a user map that decides, and `users` of a rule narrows it", () => {
  const asked = parseUserMap(MAP).place(ALICE, request());
  const check = (text: string) => new AccessRules(readRules(text), MAPPED_USER);
  check('{"rules":[]}').requireStart(ALICE, asked);
  check('{"rules":[{"name":"alice","commands":["true"]}]}').requireStart(ALICE, asked);
  check('{"rules":[{"name":"alice","users":["asmith"]}]}').requireStart(ALICE, asked);
  assert.throws(
    () => check('{"rules":[{"name":"alice","users":["lab"]}]}').requireStart(ALICE, asked),
    /alice may not run jobs as asmith, only as lab/,
  );
});

for (
  const [text, message] of [
    ["name alice", /^line 1: expected "name NAME USER" or "role ROLE USER"/],
    ["\n\nalice asmith", /^line 3: expected/],
    ["name alice asmith, lab", /^line 1: expected/],
    ["name alice x;id", /^line 1: "x;id" is not the name of a user$/],
    ["name alice a,,b", /^line 1: "" is not the name of a user$/],
    ["name alice %mapped", /^line 1: "%mapped" is not the name of a user$/],
    ["name alice 0", /^line 1: "0" is not the name of a user$/],
    ["name alice root", /^line 1: root is no user for jobs of others$/],
    ["name alice a,b,a", /^line 1: a user is there twice$/],
    ["role admin a", /^line 1: there is no role "admin", only reader and writer$/],
    ['name "al\\ice" a', /^line 1: .* is no name in quotes$/],
    ['name "" a', /^line 1: .* is no name in quotes$/],
    ["name a b\n# more\nname a c", /^line 3: name "a" is in line 1 already$/],
    ['name a b\nname "a" c', /^line 2: name "a" is in line 1 already$/],
    [`name a ${Array.from({ length: 101 }, (_, index) => `u${index}`)}`, /more than 100 users$/],
  ] as const
) {
  Deno.test(`parseUserMap: refuses ${JSON.stringify(text.slice(0, 40))}`, () => {
    assert.throws(() => parseUserMap(text), { message });
  });
}

/** A folder with a user map. */
class Place implements Disposable {
  readonly #folder = Deno.makeTempDirSync({ prefix: "job-worker-user-map-" });
  readonly path = join(this.#folder, "users");
  readonly log = new CapturedLog();

  write(text: string): void {
    Deno.writeTextFileSync(this.path, text, { mode: 0o600 });
  }

  async accounts(file: UserMapFile): Promise<readonly string[] | undefined> {
    return (await file.current())?.accountsOf(ALICE);
  }

  [Symbol.dispose](): void {
    this.log[Symbol.dispose]();
    Deno.removeSync(this.#folder, { recursive: true });
  }
}

const OWNERS = [0, Deno.uid() ?? 0];

Deno.test("UserMapFile: without a path there is no map", async () => {
  assert.equal(await (await UserMapFile.open("")).current(), undefined);
});

Deno.test("UserMapFile: a file that is missing, invalid, or that others may change, is refused at the start", async () => {
  using place = new Place();
  const open = () => UserMapFile.open(place.path, OWNERS);
  await assert.rejects(open, /cannot use the user map .*; correct it, or start without --user-map/);
  place.write("name alice asmith\nname alice lab\n");
  await assert.rejects(open, /cannot use the user map .*users: line 2: name "alice" is in line 1/);
  place.write("name alice asmith\n");
  Deno.chmodSync(place.path, 0o664);
  await assert.rejects(open, /cannot use the user map .*: others may change .*chmod go-w/);
  Deno.chmodSync(place.path, 0o600);
  await assert.rejects(UserMapFile.open(place.path, [4_000_000]), /another user may change/);
  await open();
});

Deno.test("UserMapFile: a changed file is in force with the next call; a bad or unsafe one changes nothing", async () => {
  using place = new Place();
  place.write("name alice asmith\n");
  const file = await UserMapFile.open(place.path, OWNERS);
  assert.deepEqual(await place.accounts(file), ["asmith"]);
  place.write("name alice lab,asmith\n");
  assert.deepEqual(await place.accounts(file), ["lab", "asmith"]);
  place.write("name alice asmith, lab, root\n");
  assert.deepEqual(await place.accounts(file), ["lab", "asmith"]);
  assert.match(
    place.log.texts.join(""),
    /the user map is invalid; keeping the previous one.*line 1: expected/,
  );
  place.write("name alice other-one\n");
  Deno.chmodSync(place.path, 0o666);
  assert.deepEqual(await place.accounts(file), ["lab", "asmith"]);
  Deno.removeSync(place.path);
  assert.deepEqual(await place.accounts(file), ["lab", "asmith"]);
  place.write("# nobody\n");
  assert.deepEqual(await place.accounts(file), []);
});
