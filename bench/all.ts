/** All benchmarks, in the order of the table. */
import type { Benchmark } from "./benchmark.ts";
import { followers } from "./followers.ts";
import { query } from "./query.ts";
import { start } from "./start.ts";
import { starts } from "./starts.ts";
import { stop } from "./stop.ts";
import { stream } from "./stream.ts";

/** By name; `deno task bench NAME` runs one. */
export const benchmarks: readonly Benchmark[] = [query, start, stream, starts, stop, followers];
