/** Files of tests beside each other, as many as there are processors. */

/** How a list of files is run. */
export interface LaneOptions {
  /** How many files run at once. */
  readonly lanes: number;
  /** Files that measure time or memory of the whole host: one at a time, when all others are done. */
  readonly alone: ReadonlySet<string>;
  /** Files that take long, the longest first; they begin first, so that none is left at the end. */
  readonly longestFirst: readonly string[];
  /** What runs at the same time, on what they leave of the processors: those alone wait for it, too. */
  readonly beside?: () => Promise<void>;
}

/** In which order files run: those beside each other, and those alone. Pure. */
export function planLanes(
  files: readonly string[],
  { alone, longestFirst }: Pick<LaneOptions, "alone" | "longestFirst">,
): { together: string[]; alone: string[] } {
  const rank = (file: string) => {
    const index = longestFirst.indexOf(file);
    return index === -1 ? longestFirst.length : index;
  };
  const together = files.filter((file) => !alone.has(file));
  return {
    together: together.toSorted((one, other) => rank(one) - rank(other)),
    alone: files.filter((file) => alone.has(file)),
  };
}

/** Deals items out to so many hands, one each in turn; no hand is empty. Pure. */
export function dealOut<T>(items: readonly T[], hands: number): T[][] {
  const dealt = Array.from({ length: Math.min(hands, items.length) }, (): T[] => []);
  for (const [index, item] of items.entries()) dealt[index % dealt.length]?.push(item);
  return dealt;
}

/** Runs each file by `run`; resolves when all are done. What `run` throws ends the whole. */
export async function runInLanes(
  files: readonly string[],
  options: LaneOptions,
  run: (file: string) => Promise<void>,
): Promise<void> {
  const plan = planLanes(files, options);
  await Promise.all([runQueue(plan.together, options.lanes, run), options.beside?.()]);
  await runQueue(plan.alone, 1, run);
}

/** Runs so many at once, each next one when one is done. */
export async function runQueue<T>(
  items: readonly T[],
  lanes: number,
  run: (item: T) => Promise<void>,
): Promise<void> {
  const queue = items.values();
  await Promise.all(Array.from({ length: lanes }, async () => {
    for (const item of queue) await run(item);
  }));
}
