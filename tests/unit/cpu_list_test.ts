/** Lists of CPUs: what is taken, and that the same CPUs are always the same text. */
import { strict as assert } from "node:assert";
import { commonCpus, isWithinCpus, parseCpuList } from "../../common/cpu_list.ts";
import { JobError } from "../../lib/errors.ts";
import { readAskedLimits } from "../../lib/model/asked_limits.ts";

Deno.test("parseCpuList: the kernel's format, in one form", () => {
  const cases = [
    ["0", "0"],
    [" 0-3,5\n", "0-3,5"],
    ["5,3,0-2", "0-3,5"],
    ["0,1", "0-1"],
    ["7,7,6-7", "6-7"],
    ["0-8191", "0-8191"],
    ["010-011", "10-11"],
  ] as const;
  for (const [text, list] of cases) assert.equal(parseCpuList(text), list, text);
});

Deno.test("parseCpuList: what is no list, and what no kernel has, is refused", () => {
  const texts = [
    "",
    ",",
    "1,",
    "3-1",
    "-1",
    "+1",
    "1-",
    "0x1",
    "1 2",
    "a",
    "1.5",
    "8192",
    "0-99999",
    "0-3:1/2",
  ];
  for (const text of [...texts, "0,".repeat(40_000) + "0"]) {
    assert.throws(() => parseCpuList(text), /is not a valid limit/, text.slice(0, 50));
  }
});

Deno.test("lists of CPUs: within, and in common", () => {
  assert(isWithinCpus("1-2,9", "0-3,8-9"));
  assert(!isWithinCpus("1-2,7", "0-3,8-9"));
  assert(!isWithinCpus("1", "10-19"));
  assert.equal(commonCpus("0-3,8", "2-8"), "2-3,8");
  assert.equal(commonCpus("0-3", "4-8"), "");
});

Deno.test("readAskedLimits: what is not given is left out; a list has one form, and junk is refused", () => {
  assert.deepEqual(readAskedLimits(null, "start the job"), {});
  assert.deepEqual(
    readAskedLimits({ cpuCores: null, processes: 3, allowedCpus: "1,0" }, "start the job"),
    { processes: 3, allowedCpus: "0-1" },
  );
  for (const allowedCpus of ["", "max", "0;reboot", "0\n1"]) {
    assert.throws(
      () => readAskedLimits({ allowedCpus }, "update the job"),
      (error) =>
        error instanceof JobError && error.kind === "invalid" &&
        error.message.startsWith("Cannot update the job: its allowed CPUs: "),
      allowedCpus,
    );
  }
});
