/** When the server was asked: rates are made of two such times, so these must not wobble. */
import type { ReadTime } from "./protocol.ts";

/**
 * Makes a call, and takes its time in this process: the browser learns of the answer later, after
 * whatever else it draws.
 */
export async function timed<Answer>(
  call: () => Promise<Answer>,
): Promise<{ readonly answer: Answer; readonly readAt: ReadTime }> {
  const askedAtMs = performance.now();
  const answer = await call();
  const tookMs = performance.now() - askedAtMs;
  return {
    answer,
    readAt: { steadyMs: askedAtMs + tookMs / 2, wallMs: Date.now() - tookMs / 2 },
  };
}
