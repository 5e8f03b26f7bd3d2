/** Waiting for a limited time. */

/**
 * Waits for work that goes on by itself.
 *
 * @returns False when the time was over before; the work goes on.
 * @throws What the work has thrown by then.
 */
export async function isInTime(work: Promise<unknown>, timeoutMs: number): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(false), timeoutMs);
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
