import { strict as assert } from "node:assert";
import { JobError } from "../../lib/errors.ts";
import { requireRoom } from "../../lib/job/bounds.ts";

const BOUNDS = { maxJobs: 4, maxJobsPerUser: 2 };

function refusal(owners: string[], owner: string, bounds = BOUNDS): string {
  try {
    const own = owners.filter((other) => other === owner).length;
    requireRoom({ own, all: owners.length }, owner, bounds);
    return "";
  } catch (error) {
    assert(error instanceof JobError);
    assert.equal(error.kind, "exhausted");
    return error.message;
  }
}

Deno.test("requireRoom: below both bounds there is room", () => {
  for (const owners of [[], ["alice"], ["alice", "bob", "bob"], ["bob", "bob"]]) {
    assert.equal(refusal(owners, "alice"), "");
  }
});

Deno.test("requireRoom: a user's bound concerns that user alone, and is named", () => {
  const owners = ["alice", "bob", "alice"];
  assert.match(refusal(owners, "alice"), /alice has 2 jobs running, .* --max-jobs-per-user allows/);
  assert.equal(refusal(owners, "bob"), "");
  assert.equal(refusal(owners, "carol"), "");
});

Deno.test("requireRoom: the bound for all holds for each user, and is named", () => {
  const owners = ["alice", "bob", "carol", "dave"];
  for (const owner of ["alice", "erin"]) {
    assert.match(refusal(owners, owner), /4 jobs are running, the most that --max-jobs allows/);
  }
});

Deno.test("requireRoom: with Infinity there is always room", () => {
  const owners = Array.from({ length: 5000 }, () => "alice");
  assert.equal(refusal(owners, "alice", { maxJobs: Infinity, maxJobsPerUser: Infinity }), "");
});
