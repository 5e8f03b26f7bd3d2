/**
 * Waits for something, but no longer than until the signal is aborted.
 *
 * @param promise What is waited for; it goes on behind an abort, and its failure is then nobody's.
 * @param signal Undefined: waits to the end.
 * @param onLate Called with what came after an abort, to release it.
 * @throws The signal's reason, or the promise's failure.
 */
export async function unlessAborted<Value>(
  promise: Promise<Value>,
  signal: AbortSignal | undefined,
  onLate: (value: Value) => void = () => {},
): Promise<Value> {
  if (signal === undefined) return await promise;
  let onAbort = () => {};
  let isLeft = false;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => {
      isLeft = true;
      reject(signal.reason);
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
  });
  promise.then((value) => {
    if (isLeft) onLate(value);
  }, () => {
    // Whoever still waits hears of it from the promise itself.
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
