import { strict as assert } from "node:assert";
import { isHosts, placementIn } from "../../lib/executor/placement.ts";
import { handleOf } from "../support/fake_executor.ts";

const HANDLE = {
  ...handleOf("a"),
  counters: [{ name: "cpu.stat", file: "/f" }],
};

Deno.test("placementIn: a handle of this executor is read as it was made, also without a boot", () => {
  assert.deepEqual(placementIn(HANDLE), HANDLE);
  assert.deepEqual(placementIn({ ...HANDLE, bootId: "b" }), { ...HANDLE, bootId: "b" });
});

Deno.test("placementIn: a handle that is damaged, or another executor's, is none", () => {
  const damage: readonly Readonly<Record<string, unknown>>[] = [
    { groups: "/g" },
    { groups: [1] },
    { tracker: 1 },
    { populatedFile: undefined },
    { counters: [{ name: 1, file: "/f" }] },
    { counters: [{ name: "cpu.stat" }] },
    { counters: [null] },
    { bootId: 1 },
  ];
  for (const fields of damage) {
    assert.equal(placementIn({ ...HANDLE, ...fields }), undefined, JSON.stringify(fields));
  }
  assert.equal(placementIn({}), undefined);
});

Deno.test("isHosts: a handle with nothing of a placement is another executor's, and no damaged one is", () => {
  assert(!isHosts({}));
  assert(!isHosts({ cluster: "main" }));
  for (const name of Object.keys(HANDLE)) assert(isHosts({ [name]: 1 }), name);
});
