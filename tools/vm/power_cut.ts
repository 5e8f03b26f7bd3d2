/**
 * What a guest has said before its power is cut (tests/vm/power_cut.ts): every start and every end
 * that a client was told of must be on record afterwards.
 */

/** The newest job of each of the guest's workers that was answered, by the worker's number. */
export interface Answered {
  readonly starts: ReadonlyMap<number, number>;
  readonly ends: ReadonlyMap<number, number>;
  /** The kernel's name for the boot. */
  readonly bootId: string;
}

/** Reads the lines that are whole; a worker's jobs are answered in their order. */
export function readAnswered(output: string): Answered {
  const whole = output.slice(0, output.lastIndexOf("\n") + 1);
  return {
    starts: newest(whole, /^answered (\d+) (\d+)$/gm),
    ends: newest(whole, /^ended (\d+) (\d+)$/gm),
    bootId: /^boot (\S+)$/m.exec(whole)?.[1] ?? "",
  };
}

function newest(text: string, pattern: RegExp): Map<number, number> {
  return new Map(
    [...text.matchAll(pattern)].map(([, worker, job]) => [Number(worker), Number(job)]),
  );
}

/** What the next boot is told on the kernel's command line, which takes 2048 bytes. */
export function toParameters({ starts, ends, bootId }: Answered): string[] {
  const list = (jobs: ReadonlyMap<number, number>) =>
    [...jobs].map(([worker, job]) => `${worker}:${job}`).join(",");
  return [`answered=${list(starts)}`, `ended=${list(ends)}`, `before=${bootId}`];
}

/** How many starts and ends were answered. */
export function countAnswers({ starts, ends }: Answered): { starts: number; ends: number } {
  const sum = (jobs: ReadonlyMap<number, number>) =>
    [...jobs.values()].reduce((total, job) => total + job, 0);
  return { starts: sum(starts), ends: sum(ends) };
}
