/** Tries several ways to the same end, as RFC 8305 ("Happy Eyeballs") does with addresses. Pure. */

/**
 * Tries one way after the other, and the next beside it when one takes long. The others are ended when
 * one has succeeded.
 *
 * @param ways What is tried, the best one first; each undoes what it has done when its signal is aborted.
 * @param options Milliseconds before the next way is tried beside one, and what ends all.
 * @returns What the first one came to that succeeded.
 * @throws What the last one failed with, when all have failed; or the signal's reason.
 */
export function firstToSucceed<Value>(
  ways: readonly ((signal: AbortSignal) => Promise<Value>)[],
  { nextAfterMs, signal }: { nextAfterMs: number; signal: AbortSignal },
): Promise<Value> {
  const tries: AbortController[] = [];
  let winner: AbortController | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let onAbort = () => {};
  return new Promise<Value>((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    if (ways.length === 0) return reject(new Error("there is nothing to try"));
    let failures = 0;
    const tryNext = () => {
      clearTimeout(timer);
      const way = ways[tries.length];
      if (way === undefined) return;
      const own = new AbortController();
      tries.push(own);
      way(own.signal).then((value) => {
        winner ??= own;
        resolve(value);
      }, (error) => {
        failures += 1;
        if (failures === ways.length) reject(error);
        else if (failures === tries.length) tryNext();
      });
      timer = setTimeout(tryNext, nextAfterMs);
    };
    onAbort = () => reject(signal.reason);
    signal.addEventListener("abort", onAbort);
    tryNext();
  }).finally(() => {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
    // Also one that has succeeded just behind the first.
    for (const each of tries) if (each !== winner) each.abort(signal.reason);
  });
}
