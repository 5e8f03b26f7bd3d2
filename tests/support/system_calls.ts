/** Counts what a server asks of the kernel, by strace(1): a measure of work that a busy machine does not change. */
import { join } from "node:path";
import { run } from "./run.ts";
import { until } from "./wait.ts";

/** How often a system call was made, by its name. */
export type CallCounts = Map<string, number>;

/** What was counted, and for how long. */
export interface Counted {
  readonly calls: CallCounts;
  readonly seconds: number;
}

/** In {@linkcode CallCounts}: programs that were started. */
export const PROGRAMS = "programs started";

/** In {@linkcode CallCounts}: all calls of other processes than the server, as launchers and their jobs. */
export const OTHERS = "calls of its processes";

/** They depend on who waits for whom, or on when the allocator wants more: not on what is done. */
const TIMING: ReadonlySet<string> = new Set(
  ("futex epoll_wait epoll_pwait epoll_ctl poll ppoll sched_yield restart_syscall clock_nanosleep " +
    "madvise mmap munmap mremap mprotect brk getpid gettid rt_sigprocmask rt_sigreturn sigaltstack " +
    "set_robust_list rseq prctl clone clone3 exit wait4 sched_getaffinity")
    .split(" "),
);

/** What only wakes another thread, asks again, or finds out whether a connection could be made. */
const WITHOUT_WORK =
  /^\w+\(\d+<anon_inode:\[?eventfd| = -1 EAGAIN |^socket\(|^(?:connect|close)\(\d+<socket:/;

/** Why calls cannot be counted here; undefined where they can. */
export async function noSystemCalls(): Promise<string | undefined> {
  try {
    const { code, stderr } = await run("strace", ["-o", "/dev/null", "true"]);
    return code === 0 ? undefined : `strace cannot be used here: ${stderr.trim()}`;
  } catch {
    return "strace is not installed";
  }
}

/** Counts the calls of a server and of its processes, those that it has and those to come, while something is done. */
export async function countCalls(pid: number, action: () => Promise<void>): Promise<Counted> {
  const folder = await Deno.makeTempDir({ prefix: "job-worker-calls-" });
  try {
    const file = join(folder, "calls");
    const traced = [pid, ...await childrenOf(pid)];
    const strace = new Deno.Command("strace", {
      args: ["-f", "-y", "-s", "0", "-o", file, ...traced.flatMap((each) => ["-p", `${each}`])],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    let told = "";
    const reading = (async () => {
      const decoder = new TextDecoder();
      for await (const bytes of strace.stderr) told += decoder.decode(bytes, { stream: true });
    })();
    let threads: readonly number[];
    let seconds = 0;
    try {
      await until(
        "strace to follow the server",
        () => traced.every((each) => new RegExp(`Process ${each} attached`).test(told)),
      );
      threads = await threadsOf(pid);
      const begin = performance.now();
      await action();
      seconds = (performance.now() - begin) / 1000;
    } finally {
      strace.kill("SIGINT");
      await Promise.all([strace.status, reading]);
    }
    return { calls: countTraced(await Deno.readTextFile(file), threads), seconds };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/**
 * Counts the lines of `strace -f -y`.
 *
 * @param threads The server's threads when it began.
 */
export function countTraced(text: string, threads: readonly number[]): CallCounts {
  const calls = [...parseCalls(text)];
  const own = new Set(threads);
  for (const { text } of calls) {
    const thread = /CLONE_THREAD.* = (\d+)/.exec(text)?.[1];
    if (thread !== undefined) own.add(Number(thread));
  }
  const counts: CallCounts = new Map();
  const add = (name: string) => counts.set(name, (counts.get(name) ?? 0) + 1);
  for (const { thread, name, text } of calls) {
    if (name === "execve" && / = 0$/.test(text)) add(PROGRAMS);
    if (TIMING.has(name) || WITHOUT_WORK.test(text)) continue;
    add(own.has(thread) ? name : OTHERS);
  }
  return counts;
}

interface Call {
  readonly thread: number;
  readonly name: string;
  /** Of a call that was interrupted by another thread's line: its beginning and its end. */
  readonly text: string;
}

function* parseCalls(text: string): Generator<Call> {
  const begun = new Map<number, string>();
  for (const line of text.split("\n")) {
    const [, digits, rest = ""] = /^(\d+) +(.*)$/.exec(line) ?? [];
    const thread = Number(digits);
    const unfinished = /^(\w+\(.*?) *<unfinished \.\.\.>$/.exec(rest)?.[1];
    if (unfinished !== undefined) {
      begun.set(thread, unfinished);
      continue;
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest)?.[1];
    const whole = resumed === undefined ? rest : `${begun.get(thread) ?? ""}${resumed}`;
    begun.delete(thread);
    const name = /^(\w+)\(/.exec(whole)?.[1];
    if (name !== undefined) yield { thread, name, text: whole };
  }
}

async function threadsOf(pid: number): Promise<number[]> {
  return (await Array.fromAsync(Deno.readDir(`/proc/${pid}/task`))).map(({ name }) => Number(name));
}

/** The processes that a process has started and that are there, whichever of its threads has. */
export async function childrenOf(parent: number): Promise<number[]> {
  const found: number[] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const status = await Deno.readTextFile(`/proc/${name}/status`).catch(() => ""); // It has ended.
    if (new RegExp(`^PPid:\\s+${parent}$`, "m").test(status)) found.push(Number(name));
  }
  return found;
}
