/** Which objects nobody uses any more. */
import { Session } from "node:inspector";
import { until } from "./wait.ts";

/** Says of an object whether something still keeps it; only after {@linkcode collectGarbage}. */
export type IsKept = () => boolean;

/** Watches objects, and keeps none of them. */
export function watchObjects(objects: readonly object[]): IsKept[] {
  const references = objects.map((object) => new WeakRef(object));
  return references.map((reference) => () => reference.deref() !== undefined);
}

/** Has the runtime free all that nobody uses. */
export async function collectGarbage(): Promise<void> {
  // What was looked at through a weak reference is kept until the turn has ended.
  await new Promise((resolve) => setTimeout(resolve));
  const session = new Session();
  session.connect();
  try {
    let isDone = false;
    session.post("HeapProfiler.collectGarbage", () => isDone = true);
    await until("the garbage to be collected", () => isDone);
  } finally {
    session.disconnect();
  }
}
