/**
 * Waits for a promise, but no longer than until the signal is aborted.
 *
 * @param promise What is waited for. It goes on after an abort; its failure is then ignored.
 * @param signal Undefined: waits to the end.
 * @param onLate Called with a value that came after the abort, to release it.
 * @throws The signal's reason, or the promise's failure.
 */
export async function unlessAborted<Value>(
  promise: Promise<Value>,
  signal: AbortSignal | undefined,
  onLate: (value: Value) => void = () => {},
): Promise<Value> {
  if (signal === undefined) return await promise;
  let onAbort = () => {};
  let isAborted = false;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => {
      isAborted = true;
      reject(signal.reason);
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
  });
  promise.then((value) => {
    if (isAborted) onLate(value);
  }, () => {
    // A caller that still waits gets the failure from the promise itself.
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/**
 * Waits for some time.
 *
 * @param durationMs Milliseconds.
 * @param signal Ends the wait.
 * @throws The signal's reason.
 */
export async function pause(durationMs: number, signal?: AbortSignal): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const waiting = new Promise<void>((resolve) => timer = setTimeout(resolve, durationMs));
  try {
    await unlessAborted(waiting, signal);
  } finally {
    clearTimeout(timer);
  }
}
