/**
 * Orders to a job's listener on its node (lib/shim/listen.sh), by files of the job's folder.
 *
 * After {@linkcode order} the listener is woken by `scancel --full --signal=USR1`: only once the launch
 * record has its `launcher` line, since a script that has not come so far dies of the signal. The signal may be
 * lost, or come twice: where there is no answer after some seconds, wake the listener again.
 */
import { join } from "node:path";
import type { SignalName } from "../../../common/signals.ts";
import { replaceFile } from "../../regular_file.ts";
import { readNodeFile } from "./node_file.ts";

/** What a listener does. */
export type Order =
  /** The signal, once in a job's life, and SIGKILL after so long; a later order can only bring that forward. */
  | {
    readonly kind: "stop";
    readonly signal: SignalName;
    readonly graceMs: number;
    readonly mainOnly?: boolean;
  }
  | { readonly kind: "kill" }
  | { readonly kind: "signal"; readonly signal: SignalName; readonly mainOnly?: boolean };

/** Whether an order has met a process. */
export type OrderAnswer = "reached" | "nobody";

/** Orders and answers are a line. */
const MAX_ORDER_BYTES = 1024;

const ORDER_FILE = "control";
const ANSWER_FILE = "control.done";

/** The file of a job's folder that has the order. */
export function orderFileIn(folder: string): string {
  return join(folder, ORDER_FILE);
}

/**
 * Writes an order. Only one caller at a time for a job: an order that has not been read is replaced.
 *
 * @param folder The job's folder.
 * @returns Its number, which {@linkcode answerTo} takes.
 */
export async function order(folder: string, order: Order): Promise<number> {
  const file = orderFileIn(folder);
  const number = numberIn(await textOf(file)) + 1;
  // The job's user reads it.
  await replaceFile(file, `${number} ${wordsOf(order)}\n`, { mode: 0o644 });
  return number;
}

/**
 * What has become of an order; undefined: nothing yet.
 *
 * @param folder The folder of what the node writes.
 * @param number The order's number; the answer to a later one is none to it.
 */
export async function answerTo(folder: string, number: number): Promise<OrderAnswer | undefined> {
  const [, answered, answer] = /^(\d+) (reached|nobody)\n$/.exec(
    await textOf(join(folder, ANSWER_FILE)),
  ) ?? [];
  return Number(answered) === number ? answer as OrderAnswer : undefined;
}

function wordsOf(order: Order): string {
  switch (order.kind) {
    case "stop":
      return `stop ${order.signal} ${Math.max(0, Math.round(order.graceMs))} ${whom(order)}`;
    case "kill":
      return "kill";
    case "signal":
      return `signal ${order.signal} ${whom(order)}`;
  }
}

function whom({ mainOnly = false }: { readonly mainOnly?: boolean }): string {
  return mainOnly ? "main" : "all";
}

function numberIn(text: string): number {
  return Number(/^\d{1,15}/.exec(text)?.[0] ?? 0);
}

async function textOf(file: string): Promise<string> {
  return (await readNodeFile(file, { maxBytes: MAX_ORDER_BYTES }))?.text ?? "";
}
