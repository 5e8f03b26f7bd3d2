/** All benchmarks, in the order of the table. */
import type { Benchmark } from "./benchmark.ts";
import { cluster } from "./cluster.ts";
import { fan } from "./fan.ts";
import { follow } from "./follow.ts";
import { followers } from "./followers.ts";
import { input } from "./input.ts";
import { lines } from "./lines.ts";
import { memory } from "./memory.ts";
import { query } from "./query.ts";
import { records } from "./records.ts";
import { start } from "./start.ts";
import { starts } from "./starts.ts";
import { steady } from "./steady.ts";
import { stop } from "./stop.ts";
import { stream } from "./stream.ts";
import { writer } from "./writer.ts";

/** By name; `deno task bench NAME` runs one. */
export const benchmarks: readonly Benchmark[] = [
  query,
  start,
  stream,
  input,
  follow,
  steady,
  fan,
  starts,
  stop,
  writer,
  lines,
  memory,
  followers,
  records,
  cluster,
];
