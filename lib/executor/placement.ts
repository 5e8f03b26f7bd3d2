/** Where a job of this host is, read out of its handle. Pure. */
import type { Placement } from "../cgroup/types.ts";
import type { Handle } from "../model/record.ts";

/** @returns The placement in a handle; undefined where there is none, or it is damaged. */
export function placementIn(handle: Handle): Placement | undefined {
  const { groups, tracker, populatedFile, counters, bootId } = handle;
  const isWhole = isList(groups, isText) && isText(tracker) && isText(populatedFile) &&
    isList(counters, isCounter) && (bootId === undefined || isText(bootId));
  return isWhole ? handle as unknown as Placement : undefined;
}

/** Whether a handle is of a job of a host, damaged or not: something in it is of a placement. */
export function isHosts(handle: Handle): boolean {
  return ["groups", "tracker", "populatedFile", "counters"].some((name) => name in handle);
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function isList(value: unknown, isItem: (item: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(isItem);
}

/** A name that this server does not know is that of a counter it does not read. */
function isCounter(value: unknown): boolean {
  const { name, file } = Object(value) as Record<string, unknown>;
  return isText(name) && isText(file);
}
