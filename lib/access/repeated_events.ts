/**
 * Events that repeat: the first ones have lines of their own in the audit trail, and the others are
 * counted, so that nobody can roll the trail over by what changes nothing.
 */
import { isChange } from "../rbac.ts";
import { type AuditEntry, auditEntryOf, isAboutChange, isRefusal } from "./audit_entry.ts";
import type { AccessEvent } from "./events.ts";
import { TokenBucket } from "./token_bucket.ts";

/** How often it is told how many have been counted. */
const TELL_INTERVAL_MS = 60_000;

/** Lines of equal events at once, and in a second on average: one in a minute. */
const LINES = { capacity: 10, perSecond: 1 / 60 };

/** The time after which an event that has not come back is as good as new. */
const FORGET_MS = LINES.capacity / LINES.perSecond * 1000;

/** What is told apart, at most. */
const MAX_KEYS = 10_000;

/** Addresses of strangers among these: anybody has many. */
const MAX_ADDRESSES = 100;

/** How events that are alike are counted. */
interface Likeness {
  /** Equal for events that are alike. */
  readonly key: string;
  /** The key where there are too many; undefined: then each event has its line. */
  readonly otherwise: string | undefined;
}

/** Events that are alike. */
interface Repeated {
  readonly lines: TokenBucket;
  /** Those without a line since it was last told how many they are. */
  counted: number;
  last: AccessEvent;
}

/** A line about many events. */
export interface CountedEvents {
  readonly entry: AuditEntry;
  /** The last one of them. */
  readonly last: AccessEvent;
}

/** Decides which events have lines, and tells how many have none. */
export class RepeatedEvents {
  readonly #tell: (counted: CountedEvents) => void;
  readonly #repeated = new Map<string, Repeated>();
  #addresses = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param tell Called once in a minute for each kind of events that were counted. */
  constructor(tell: (counted: CountedEvents) => void) {
    this.#tell = tell;
  }

  /** Whether the event has a line of its own; else it is counted. */
  hasLine(event: AccessEvent): boolean {
    const likeness = likenessOf(event);
    if (likeness === undefined) return true;
    this.#timer ??= setTimeout(() => this.#tellAll(), TELL_INTERVAL_MS);
    const repeated = this.#repeatedOf(likeness, event);
    if (repeated === undefined) return true;
    repeated.last = event;
    repeated.lines.earn(performance.now());
    if (repeated.lines.take()) return true;
    repeated.counted++;
    return false;
  }

  /** Tells now what was counted. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const repeated of this.#repeated.values()) {
      const { counted, last } = repeated;
      if (counted === 0) continue;
      repeated.counted = 0;
      this.#tell({ entry: entryOf(counted, last), last });
    }
  }

  #tellAll(): void {
    this.flush();
    const nowMs = performance.now();
    for (const [key, { lines, last }] of this.#repeated) {
      if (nowMs - lines.atMs < FORGET_MS) continue;
      this.#repeated.delete(key);
      if (isOfStranger(last)) this.#addresses--;
    }
    if (this.#repeated.size > 0) {
      this.#timer = setTimeout(() => this.#tellAll(), TELL_INTERVAL_MS);
    }
  }

  #repeatedOf({ key, otherwise }: Likeness, event: AccessEvent): Repeated | undefined {
    const known = this.#repeated.get(key);
    if (known !== undefined) return known;
    const isFull = isOfStranger(event)
      ? this.#addresses >= MAX_ADDRESSES
      : this.#repeated.size >= MAX_KEYS;
    if (isFull && key !== otherwise) {
      return otherwise === undefined
        ? undefined
        : this.#repeatedOf({ key: otherwise, otherwise }, event);
    }
    const fresh = { lines: new TokenBucket(LINES, performance.now()), counted: 0, last: event };
    this.#repeated.set(key, fresh);
    if (isOfStranger(event)) this.#addresses++;
    return fresh;
  }
}

/** Whether an event is one of somebody whose certificate may not be known. */
function isOfStranger({ kind }: AccessEvent): boolean {
  return kind === "handshake-refused" || kind === "reset-storm";
}

/**
 * What an event is counted with. A change that was begun is alike only to the same change of the same
 * job, so a start has always its lines; calls that were refused or failed to change anything, to those
 * of the same caller and status; and neither hides a refused change behind refused reads.
 *
 * @returns Undefined for an event that always has its line.
 */
function likenessOf(event: AccessEvent): Likeness | undefined {
  switch (event.kind) {
    case "handshake-refused":
    case "reset-storm":
      return { key: `${event.kind} ${networkOf(event.peer)}`, otherwise: event.kind };
    case "change-begun":
    case "change-ended":
      return changeOf(event, event.kind === "change-begun" ? event.details.signal : event.code);
    case "call-ended": {
      const { path, caller, code, hasChanged } = event;
      if (hasChanged) return changeOf(event, code);
      if (!isAboutChange(event) && !isRefusal(event)) return undefined;
      const kind = `${event.kind} ${isChange(path)}`;
      return { key: JSON.stringify([kind, code, caller.serial, caller.name]), otherwise: kind };
    }
  }
}

/** The method whose jobs are new ones each time. */
const START = "/JobService/Start";

function changeOf(
  { kind, path, caller, job }: Extract<AccessEvent, { path: string }>,
  detail: string | undefined,
): Likeness | undefined {
  if (path === START) return undefined;
  const key = JSON.stringify([kind, path, job, detail, caller.serial, caller.name]);
  return { key, otherwise: undefined };
}

/** The address of a peer without its port; of IPv6 the network, which one host has for itself (/64). */
function networkOf(peer: string): string {
  const address = peer.slice(0, peer.lastIndexOf(":"));
  if (!address.includes(":") || address.includes(".")) return address;
  const [head = "", tail] = address.split("::");
  const groups = head.split(":");
  const missing = tail === undefined ? 0 : 8 - groups.length - tail.split(":").length;
  const zeros = Array.from({ length: Math.max(0, missing) }, () => "0");
  return [...groups, ...zeros, ...(tail ?? "").split(":")].slice(0, 4).join(":");
}

function entryOf(events: number, last: AccessEvent): AuditEntry {
  const { event = "", fields = {} } = auditEntryOf(last) ?? {};
  return { event: "events like this one were counted", fields: { events, last: event, ...fields } };
}
