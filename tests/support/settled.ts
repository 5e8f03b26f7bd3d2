/** Looks at promises without waiting for them. */

/** Whether a promise has settled when all work that is due now is done. */
export async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let hasSettled = false;
  const settle = () => hasSettled = true;
  promise.then(settle, settle);
  await turn();
  return hasSettled;
}

/** Lets all work that is due now be done. */
export async function turn(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 0));
}
