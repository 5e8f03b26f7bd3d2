/** Lists of contexts in one word. */

/** Contexts as `--context` and its variable name them, `prod,lab`, each once. */
export function splitContexts(text: string, earlier: readonly string[] = []): string[] {
  return [...new Set([...earlier, ...text.split(",").map((name) => name.trim())])];
}
