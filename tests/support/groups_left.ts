/** Control groups of jobs. */
import { run } from "./run.ts";
import type { TestServer } from "./server.ts";

/** How many jobs' groups there are below the server's. */
export async function groupsLeft(server: TestServer): Promise<number> {
  const { stdout } = await run("/bin/sh", [
    "-c",
    'ls -d /sys/fs/cgroup/*/"$1"/*-* /sys/fs/cgroup/"$1"/*-* 2>/dev/null | wc -l',
    "sh",
    server.cgroupParent,
  ]);
  return Number(stdout);
}
