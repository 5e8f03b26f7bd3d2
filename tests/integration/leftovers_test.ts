import assert from "node:assert/strict";
import { join } from "node:path";
import { findLeftovers } from "../../tools/test/leftovers.ts";
import { testUnless } from "../support/skip.ts";

const NOT_ROOT = Deno.uid() === 0 ? undefined : "only root may make control groups";

/** What is found now that was not found before. */
async function findNew(before: Set<string>, places: Places): Promise<string[]> {
  return [...(await findLeftovers(places)).difference(before)];
}

/** Another program on this host may make something of our name meanwhile, so more may be found. */
function assertFinds(found: string[], expected: string[]): void {
  assert.deepEqual(expected.filter((line) => !found.includes(line)), [], found.join("\n"));
}

type Places = Parameters<typeof findLeftovers>[0];

async function withPlaces(body: (places: Places, folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "leftovers-" });
  try {
    const places = { binDir: join(folder, "bin"), logDir: join(folder, "log") };
    await Deno.mkdir(places.binDir);
    await Deno.mkdir(places.logDir);
    await body(places, folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("findLeftovers: finds a folder of ours, and one in the log directory", async () => {
  await withPlaces(async (places) => {
    const before = await findLeftovers(places);
    const path = await Deno.makeTempDir({ prefix: "job-worker-leftover-" });
    try {
      await Deno.mkdir(join(places.logDir, "job"));
      const expected = [`folder ${path}`, `folder ${join(places.logDir, "job")}`];
      assertFinds(await findNew(before, places), expected);
    } finally {
      await Deno.remove(path);
    }
  });
});

Deno.test("findLeftovers: finds a process by its program and one by the file it writes", async () => {
  await withPlaces(async (places) => {
    const before = await findLeftovers(places);
    await Deno.copyFile("/bin/sleep", join(places.binDir, "worker"));
    const output = join(places.logDir, "output");
    const script = `exec /bin/sleep 60 >"$0"`;
    const children = [
      new Deno.Command(join(places.binDir, "worker"), { args: ["60"] }).spawn(),
      new Deno.Command("/bin/sh", { args: ["-c", script, output] }).spawn(),
    ];
    try {
      const found = (await findNew(before, places)).map((line) => line.split(":")[0] ?? "");
      assertFinds(found, children.map((child) => `process ${child.pid}`));
    } finally {
      for (const child of children) {
        child.kill("SIGKILL");
        await child.status;
      }
    }
    const found = await findNew(before, places);
    assert.deepEqual(found.filter((line) => line.startsWith("process ")), []);
  });
});

testUnless(NOT_ROOT, {
  name: "findLeftovers: finds a control group of ours in any hierarchy, also a nested one",
  fn: async () => {
    await withPlaces(async (places) => {
      const before = await findLeftovers(places);
      const group = `/sys/fs/cgroup/${await anyHierarchy()}job-worker-leftover-${Deno.pid}`;
      await Deno.mkdir(join(group, "job-worker-inner"), { recursive: true });
      try {
        const inner = `control group ${join(group, "job-worker-inner")}`;
        assertFinds(await findNew(before, places), [`control group ${group}`, inner]);
      } finally {
        await Deno.remove(join(group, "job-worker-inner"));
        await Deno.remove(group);
      }
    });
  },
});

/** A hierarchy in which groups can be made: the only one, or the unified or the memory one. */
async function anyHierarchy(): Promise<string> {
  for (const name of ["unified/", "memory/"]) {
    const info = await Deno.stat(`/sys/fs/cgroup/${name}`).catch(() => undefined);
    if (info?.isDirectory) return name;
  }
  return "";
}
