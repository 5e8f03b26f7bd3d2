/**
 * Lists of CPUs by their numbers, as the kernel writes them (cpuset(7), "List format"): `0-3,5`. A list
 * in canonical form is ascending, and its ranges are as long as they can be.
 */
import { malformed } from "./malformed_limit.ts";

/** Linux is built for at most 8192 CPUs. */
const MAX_CPU = 8191;

/** More than a list of all CPUs with a gap after each takes. */
const MAX_LIST_CHARACTERS = 64 * 1024;

const EXPECTED = 'numbers of CPUs such as "0-3,5", or "max"';

/**
 * Parses a list.
 *
 * @returns The same in canonical form.
 * @throws {RangeError} With the text and what was expected.
 */
export function parseCpuList(text: string): string {
  const value = text.trim();
  if (value.length > MAX_LIST_CHARACTERS) throw malformed(text, EXPECTED);
  const cpus = new Set<number>();
  for (const part of value.split(",")) {
    const [, first = "", last = first] = /^(\d{1,4})(?:-(\d{1,4}))?$/.exec(part) ?? [];
    if (first === "" || Number(first) > Number(last)) throw malformed(text, EXPECTED);
    if (Number(last) > MAX_CPU) throw malformed(text, `numbers up to ${MAX_CPU}`);
    for (let cpu = Number(first); cpu <= Number(last); cpu++) cpus.add(cpu);
  }
  return listOf(cpus);
}

/** Whether every CPU of a list is in another one; both in canonical form. */
export function isWithinCpus(list: string, bound: string): boolean {
  const allowed = new Set(cpusOf(bound));
  return cpusOf(list).every((cpu) => allowed.has(cpu));
}

/** The CPUs that are in both lists, in canonical form; empty where there are none. */
export function commonCpus(one: string, other: string): string {
  const others = new Set(cpusOf(other));
  return listOf(new Set(cpusOf(one).filter((cpu) => others.has(cpu))));
}

function cpusOf(list: string): number[] {
  return list.split(",").flatMap((part) => {
    const [first = 0, last = first] = part.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}

function listOf(cpus: ReadonlySet<number>): string {
  const ranges: [first: number, last: number][] = [];
  for (const cpu of [...cpus].sort((one, other) => one - other)) {
    const range = ranges.at(-1);
    if (range !== undefined && range[1] === cpu - 1) range[1] = cpu;
    else ranges.push([cpu, cpu]);
  }
  return ranges.map(([first, last]) => first === last ? `${first}` : `${first}-${last}`).join(",");
}
