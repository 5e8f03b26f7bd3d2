/** What clients asked for in a storm, and what must have become of it. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import type { QueryResponse__Output, StartRequest } from "../../proto/contract.ts";
import type { TestClient } from "../../tests/support/client.ts";
import { groupsLeft } from "../../tests/support/groups_left.ts";
import type { TestServer } from "../../tests/support/server.ts";
import { runQueue } from "../../tools/test/lanes.ts";
import type { Watch } from "./watch.ts";

/** What one job is to do; its number decides all of it, so that a retry asks for the same. */
export interface Job {
  readonly key: string;
  readonly exitCode: number;
  /** Runs until it is stopped. */
  readonly runsLong: boolean;
  /** What it prints: its key in lines, cut off after so many bytes. */
  readonly outputBytes: number;
  /** Whether its launcher takes the longer way to the command. */
  readonly isIsolated: boolean;
}

/** Fewer than the codes that clients use themselves. */
const EXIT_CODES = 100;

/** More than a message has: a cut may come in its middle. */
const LONG_OUTPUT_BYTES = 100_000;

/** How many jobs are looked at at once. */
const ACCOUNTED_AT_ONCE = 8;

/** Leaves a trace of its id, prints, and ends or waits. */
const SCRIPT = 'echo "$JOB_ID" >>"$1"; [ "$3" = 0 ] || yes "$2" | head -c "$3"; ' +
  '[ "$4" = short ] || exec sleep 1000; exit "$5"';

/** Accounts for every job of one server. */
export class Ledger {
  readonly accepted = new Map<string, Job>();
  readonly stopped = new Set<string>();
  /** Jobs whose stop was asked for again: that brings SIGKILL forward, if they have not ended yet. */
  readonly stoppedAgain = new Set<string>();
  /** Starts whose answer was lost, by their key: whoever starts next tries them again. */
  readonly pending = new Map<string, Job>();
  /** Calls that had no answer. */
  unanswered = 0;
  readonly #server: TestServer;
  readonly #traces: string;
  #count = 0;

  constructor(server: TestServer) {
    this.#server = server;
    this.#traces = join(server.folder, "traces");
    Deno.mkdirSync(this.#traces);
  }

  /** A job that nobody has asked for yet. @param mayRunLong Whether it may be one to be stopped. */
  newJob({ mayRunLong }: { mayRunLong: boolean }): Job {
    const number = this.#count++;
    const runsLong = mayRunLong && number % 5 === 0;
    const printsMuch = !runsLong && number % 8 === 0;
    return {
      key: `key-${number}`,
      exitCode: number % EXIT_CODES,
      runsLong,
      isIsolated: number % 2 === 0,
      outputBytes: runsLong ? 0 : printsMuch ? LONG_OUTPUT_BYTES : `key-${number}\n`.length,
    };
  }

  /** How a start asks for a job. */
  request({ key, exitCode, runsLong, outputBytes, isIsolated }: Job): StartRequest {
    const kind = runsLong ? "long" : "short";
    const trace = join(this.#traces, key);
    return {
      name: "/bin/sh",
      args: ["-c", SCRIPT, "sh", trace, key, `${outputBytes}`, kind, `${exitCode}`],
      idempotencyKey: key,
      ...isIsolated ? { env: { A: "b" }, isolation: { ownProcesses: true } } : {},
    };
  }

  /** Notes an answered start. */
  accept(id: string, job: Job): void {
    this.accepted.set(id, job);
    this.pending.delete(job.key);
  }

  /**
   * Every id that a client got is known, ended as it should, printed what it should, and ran once;
   * nothing else ran.
   *
   * @throws {AssertionError} Something was lost, doubled, or told falsely.
   */
  async account(client: TestClient, watch: Watch): Promise<void> {
    assert.equal(this.pending.size, 0);
    await runQueue([...this.accepted], ACCOUNTED_AT_ONCE, async ([id, job]) => {
      const waiting = client.wait(id);
      this.#judge(id, job, await watch.inTime(`the end of job ${id}`, waiting));
      const text = await watch.inTime(`the output of job ${id}`, client.text(id));
      assert.equal(text, outputOf(job), `the output of job ${id}`);
    });
    await this.#accountTraces();
    assert.equal(await groupsLeft(this.#server), 0, "groups are left");
    const folders = [...Deno.readDirSync(join(this.#server.logDir, "jobs"))];
    const known = [...this.accepted.keys()];
    assert.deepEqual(folders.map(({ name }) => name).sort(), known.sort());
  }

  #judge(id: string, job: Job, view: QueryResponse__Output): void {
    assert.equal(view.state, "JOB_STATE_EXITED", `job ${id} is ${view.state}: ${view.reason}`);
    if (job.runsLong) assert(this.stopped.has(id));
    const isKilled = this.stoppedAgain.has(id) && view.signal === 9;
    const expected = isKilled ? [137, 9] : job.runsLong ? [143, 15] : [job.exitCode, 0];
    assert.deepEqual([view.exitCode, view.signal], expected, `job ${id}`);
  }

  async #accountTraces(): Promise<void> {
    for await (const { name } of Deno.readDir(this.#traces)) {
      const text = await Deno.readTextFile(join(this.#traces, name));
      // A stop may come between the making of the file and the writing of the line.
      const ids = text.split("\n").filter((line) => line !== "");
      assert(ids.length <= 1, `the job of key ${name} ran ${ids.length} times`);
      for (const id of ids) {
        assert.equal(this.accepted.get(id)?.key, name, `job ${id} ran, and no client knows it`);
      }
    }
  }
}

function outputOf({ key, outputBytes }: Job): string {
  const line = `${key}\n`;
  return line.repeat(Math.ceil(outputBytes / line.length)).slice(0, outputBytes);
}
