/** How many descriptors the server has, and what fits them. */
import { strict as assert } from "node:assert";
import { fitBounds, parseDescriptorLimits } from "../../lib/server/descriptors.ts";
import { scripts } from "../../lib/shim/scripts.ts";
import { CapturedLog } from "../support/captured_log.ts";

Deno.test("parseDescriptorLimits: the hard limit holds, unless it could not be raised", () => {
  assert.deepEqual(parseDescriptorLimits("soft 1024\nhard 524288\n"), {
    startedWith: 1024,
    present: 524_288,
    failure: undefined,
  });
  assert.deepEqual(
    parseDescriptorLimits("soft 1024\nhard 4096\nfailed sh: 1: prlimit: not found\n"),
    { startedWith: 1024, present: 1024, failure: "sh: 1: prlimit: not found" },
  );
  assert.deepEqual(parseDescriptorLimits("soft unlimited\nhard unlimited\n"), {
    startedWith: Infinity,
    present: Infinity,
    failure: undefined,
  });
});

Deno.test("parseDescriptorLimits: what tells no limit is a failure", () => {
  for (const report of ["", "soft 1024\n", "hard 1024\n", "soft x\nhard 1\n"]) {
    assert.throws(() => parseDescriptorLimits(report), /did not tell the \w+ limit/);
  }
});

Deno.test("fitBounds: connections take half of the descriptors, handshakes half of these", () => {
  using log = new CapturedLog();
  const wanted = { maxConnections: 10_000, maxHandshakes: 2000 };
  assert.deepEqual(fitBounds(wanted, 1024), { maxConnections: 512, maxHandshakes: 256 });
  assert.match(log.messages("warn").join(), /raise LimitNOFILE=/);
  const without = { maxConnections: Infinity, maxHandshakes: Infinity };
  assert.deepEqual(fitBounds(without, 65_536), { maxConnections: 32_768, maxHandshakes: 16_384 });
  assert.equal(log.entries.length, 2);
});

Deno.test("fitBounds: what fits stays as it is, without a word", () => {
  using log = new CapturedLog();
  const wanted = { maxConnections: 10_000, maxHandshakes: 2000 };
  for (const descriptors of [20_000, 65_536, Infinity]) {
    assert.deepEqual(fitBounds(wanted, descriptors), wanted);
  }
  assert.deepEqual(log.entries, []);
});

Deno.test("descriptors.sh: tells the limits, and why one could not be raised", async () => {
  const run = async (script: string) => {
    const { stdout, code } = await new Deno.Command("/bin/sh", {
      args: ["-c", script],
      clearEnv: true,
      env: { PATH: "/nonexistent" },
    }).output();
    assert.equal(code, 0);
    return new TextDecoder().decode(stdout);
  };
  const low = await run(`ulimit -Sn 64; ${scripts.descriptors}`);
  assert.match(low, /^soft 64\nhard (\d+|unlimited)\nfailed .*prlimit.*not found\n$/);
  const equal = await run(`ulimit -n 64; ${scripts.descriptors}`);
  assert.equal(equal, "soft 64\nhard 64\n");
});
