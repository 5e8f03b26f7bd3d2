import { strict as assert } from "node:assert";
import {
  isNoAnswer,
  judge,
  parseQueue,
  queueArguments,
  statusOf,
} from "../../lib/executor/slurm/queue.ts";

const ID = "fabd95ad-ebb5-48a5-a1fd-a40c2fcc82d5";
const OTHER_ID = "059db2d6-9ade-4b3b-b197-5f2ec7b07a17";
const AT_MS = 1_795_794_900_000;
const UID = 1000;

function parse(text: string, asOfMs: number) {
  return parseQueue(text, asOfMs, () => UID);
}

/** As squeue of Slurm 22.05.8 prints it, with the names of strangers' jobs. */
const RECORDED = `5|1000|PENDING|BeginTime||1795798463|main|c20cd3c9-3dc1-48ae-aab9-dcd49d1c97da 
11|1000|PENDING|Resources||N/A|main|64206ce9-2e3a-4d0f-a027-35da22dfee0a 
1|1000|RUNNING|None|d1|1795794864|main|fabd95ad-ebb5-48a5-a1fd-a40c2fcc82d5 
6|1000|COMPLETED|None|d1|1795794874|main|x|y 1|2                              
12|1000|FAILED|BadConstraints||1795794865|main|11111111-2222-4333-8444-555555555556 
`;

Deno.test("queueArguments: only our own jobs are asked for, and no name can forge a line", () => {
  assert.deepEqual(queueArguments(1000), [
    "--noheader",
    "--states=all",
    "--user=1000",
    // One character more than an id has.
    "--format=%A|%U|%T|%r|%N|%S|%P|%37j",
  ]);
});

Deno.test("parseQueue: tells number, state, reason, node, start and partition of each of our jobs", () => {
  const { asOfMs, jobs } = parse(RECORDED, AT_MS);
  assert.equal(asOfMs, AT_MS);
  assert.deepEqual([...jobs.keys()].length, 4);
  assert.deepEqual(jobs.get(ID), {
    number: "1",
    state: "RUNNING",
    reason: "",
    node: "d1",
    partition: "main",
    startMs: 1_795_794_864_000,
  });
  assert.deepEqual(jobs.get("64206ce9-2e3a-4d0f-a027-35da22dfee0a"), {
    number: "11",
    state: "PENDING",
    reason: "Resources",
    node: "",
    partition: "main",
  });
});

for (
  const [what, text] of [
    ["a name with more behind an id", `1|1000|RUNNING|None|d1|1|main|${ID}a`],
    ["an id in capitals", `1|1000|RUNNING|None|d1|1|main|${ID.toUpperCase()} `],
    ["a line that was cut", `1|1000|RUNNING|None|d1|1|main|${ID.slice(0, 20)}`],
    ["a name that was begun on the line before", `x\n${ID}`],
    ["a message", `slurm_load_jobs error: Unable to contact slurm controller (connect failure)`],
  ] as const
) {
  Deno.test(`parseQueue: ${what} is no job of ours`, () => {
    assert.equal(parse(`${text}\n`, AT_MS).jobs.size, 0);
  });
}

Deno.test("parseQueue: a job of another user with one of our names is no job of ours", () => {
  const line = (number: number, uid: number) => `${number}|${uid}|PENDING|None||N/A|main|${ID} `;
  const text = [line(5, 1000), line(9, 1001)].join("\n");
  assert.equal(parse(text, AT_MS).jobs.get(ID)?.number, "5");
  const ofSeveral = parseQueue(text, AT_MS, (id) => id === ID ? 1001 : 0);
  assert.equal(ofSeveral.jobs.get(ID)?.number, "9");
});

Deno.test("isNoAnswer: squeue does not know the user, and tells of no job with status 0", () => {
  assert(isNoAnswer("squeue: error: Invalid user: 1000\n"));
  assert(!isNoAnswer(RECORDED));
});

Deno.test("queueArguments: the jobs of several users are among those of all", () => {
  assert(!queueArguments(undefined).some((word) => word.startsWith("--user")));
});

Deno.test("parseQueue: a job of ours is there, whatever a later version says of it", () => {
  const { jobs } = parse(`1|1000|A NEW STATE|a|b|c|d|e|f|${ID} \n2|1000||${OTHER_ID} \n`, AT_MS);
  assert.deepEqual([...jobs.keys()], [ID, OTHER_ID]);
  assert.equal(jobs.get(ID)?.state, "A NEW STATE");
});

Deno.test("parseQueue: of two jobs with one name, the one that may still run counts, else the newer one", () => {
  const line = (number: number, state: string) => `${number}|1000|${state}|None||N/A|main|${ID} `;
  const numberOf = (...lines: string[]) => parse(lines.join("\n"), 0).jobs.get(ID)?.number;
  assert.equal(numberOf(line(5, "PENDING"), line(9, "FAILED")), "5");
  assert.equal(numberOf(line(9, "FAILED"), line(5, "PENDING")), "5");
  assert.equal(numberOf(line(9, "FAILED"), line(10, "COMPLETED")), "10");
  assert.equal(numberOf(line(10, "COMPLETED"), line(9, "FAILED")), "10");
});

const ANSWER = (state: string, reason = "None") =>
  parse(`1|1000|${state}|${reason}|d1|1795794864|main|${ID} \n`, AT_MS);

Deno.test("judge: only a successful answer that was asked for after a job was taken says that it is missing", () => {
  const answer = parse("", AT_MS);
  assert.equal(judge(undefined, ID, 0).kind, "unknown");
  assert.equal(judge(answer, ID, AT_MS).kind, "unknown");
  assert.equal(judge(answer, ID, AT_MS + 1).kind, "unknown");
  assert.equal(judge(answer, ID, AT_MS - 1).kind, "missing");
  assert.equal(judge(ANSWER("RUNNING"), OTHER_ID, AT_MS - 1).kind, "missing");
});

for (
  const [state, kind] of [
    ["PENDING", "there"],
    ["CONFIGURING", "there"],
    ["RUNNING", "there"],
    ["COMPLETING", "there"],
    ["SUSPENDED", "there"],
    ["REQUEUE_HOLD", "there"],
    ["A_STATE_OF_A_LATER_VERSION", "there"],
    ["COMPLETED", "over"],
    ["FAILED", "over"],
    ["CANCELLED", "over"],
    ["TIMEOUT", "over"],
    ["NODE_FAIL", "over"],
    ["OUT_OF_MEMORY", "over"],
    ["PREEMPTED", "over"],
    ["BOOT_FAIL", "over"],
    ["DEADLINE", "over"],
  ] as const
) {
  Deno.test(`judge: ${state} is ${kind}`, () => {
    assert.equal(judge(ANSWER(state), ID, AT_MS + 5).kind, kind);
  });
}

Deno.test("judge: a job that waits for one that has failed has no hope, whatever else waits may have", () => {
  assert.equal(judge(ANSWER("PENDING", "DependencyNeverSatisfied"), ID, 0).kind, "hopeless");
  assert.equal(judge(ANSWER("PENDING", "Dependency"), ID, 0).kind, "there");
  assert.equal(judge(ANSWER("RUNNING", "DependencyNeverSatisfied"), ID, 0).kind, "there");
});

Deno.test("statusOf: a job that waits has a reason and an estimate, one that runs has its node", () => {
  const answer = parse(RECORDED, AT_MS);
  assert.deepEqual(statusOf(answer, "c20cd3c9-3dc1-48ae-aab9-dcd49d1c97da"), {
    engineJob: "5",
    engineState: "PENDING",
    partition: "main",
    pendingReason: "BeginTime",
    estimatedStartMs: 1_795_798_463_000,
    asOfMs: AT_MS,
  });
  assert.deepEqual(statusOf(answer, ID), {
    engineJob: "1",
    engineState: "RUNNING",
    partition: "main",
    node: "d1",
    asOfMs: AT_MS,
  });
  assert.equal(statusOf(answer, OTHER_ID), undefined);
});
