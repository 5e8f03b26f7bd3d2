/** What happens to jobs, told to those who watch: from the journal, so that it can be gone on with. */
import type { JobEvent, RemovedJob } from "../model/events.ts";
import { hasEnded, type JobRecord } from "../model/record.ts";
import type { Journal, RecordedEvent } from "../store/journal.ts";
import { nextTurn } from "./list.ts";
import type { JobView } from "./views.ts";

/** Which events are asked for. */
export interface EventQuery {
  /** The number after which to begin; undefined: with what happens from now on, or since `sinceMs`. */
  readonly after: number | undefined;
  /** Milliseconds since 1970-01-01 UTC; 0: no bound. */
  readonly sinceMs: number;
  /** Infinity: no bound. */
  readonly untilMs: number;
  /** One job's alone; undefined: all. */
  readonly jobId: string | undefined;
  /** All of them. */
  readonly labels: Readonly<Record<string, string>>;
  /** Whether to wait for what happens next. */
  readonly follow: boolean;
  /** Whether the caller may see an owner's jobs, and asks for them; it is asked again for each page. */
  readonly owners: () => Promise<(owner: string) => boolean>;
}

/** An event with its job as it is now; of a job that is removed, only what the event holds. */
export interface ToldEvent extends RecordedEvent {
  readonly view: JobView | undefined;
}

/** Some events in their order; there may be none of those asked for among those looked at. */
export interface EventsPage {
  readonly events: readonly ToldEvent[];
  /** Whether events before these are not known any more. */
  readonly missed: boolean;
  /** The number to go on after. */
  readonly next: number;
}

/** What {@linkcode followEvents} works with. */
export interface EventParts {
  readonly journal: Pick<Journal, "last" | "after" | "page" | "hasLost">;
  readonly find: (id: string) => JobRecord | undefined;
  readonly views: (records: readonly JobRecord[]) => Promise<readonly JobView[]>;
}

/** Records of jobs that have ended, kept for the readers that are told of them at the same time. */
const MAX_KEPT_RECORDS = 256;

/** The arguments of a job whose record is kept. */
const MAX_KEPT_BYTES = 4096;

/** The last records of ended jobs that were read: to read one takes a tenth of a millisecond. */
export class RecentRecords {
  readonly #find: EventParts["find"];
  readonly #kept = new Map<string, JobRecord>();

  constructor(find: EventParts["find"]) {
    this.#find = find;
  }

  find(id: string): JobRecord | undefined {
    const kept = this.#kept.get(id);
    if (kept !== undefined) return kept;
    const record = this.#find(id);
    if (record === undefined || !hasEnded(record.state) || sizeOf(record) > MAX_KEPT_BYTES) {
      return record;
    }
    const [oldest] = this.#kept.keys();
    if (this.#kept.size >= MAX_KEPT_RECORDS && oldest !== undefined) this.#kept.delete(oldest);
    this.#kept.set(id, record);
    return record;
  }

  /** The job is removed. */
  forget(id: string): void {
    this.#kept.delete(id);
  }
}

/** What is left of a job whose removal is not among the events that are looked at together. */
const UNKNOWN: RemovedJob = { title: "", labels: {} };

/** Events that are looked at before other calls have their turn: some 2 ms. */
const PAGE_SIZE = 200;

/** The arguments of the jobs of a page at which it ends: a command has up to 1 MiB. */
const MAX_PAGE_BYTES = 1024 ** 2;

/**
 * The events that match, page by page, each once. The next page is read when it is asked for: of a reader
 * that is slow, only its place in the journal is kept. The first page comes at once, and tells the place.
 *
 * @param signal Ends it, without an error.
 * @throws What `owners` throws.
 */
export async function* followEvents(
  parts: EventParts,
  query: EventQuery,
  signal: AbortSignal,
): AsyncGenerator<EventsPage, void, void> {
  const { journal } = parts;
  const isPast = query.after === undefined && query.sinceMs > 0;
  let next = query.after ?? (isPast ? 0 : journal.last);
  let isFirst = true;
  while (!signal.aborted) {
    const page = await readPage(parts, query, next);
    const missed = isPast && isFirst ? journal.hasLost(query.sinceMs) : page.missed;
    const hasMore = page.next < journal.last;
    // What nobody asked for is passed over, unless it is the last for now: a reader goes on from there.
    if (isFirst || missed || page.events.length > 0 || !hasMore) yield { ...page, missed };
    next = page.next;
    isFirst = false;
    if (hasMore) await nextTurn();
    else if (!query.follow) return;
    else await journal.after(next, signal);
  }
}

async function readPage(
  { journal, find, views }: EventParts,
  query: EventQuery,
  after: number,
): Promise<EventsPage> {
  const isAsked = await query.owners();
  const { events, missed, next } = journal.page(after, PAGE_SIZE);
  const removals = new Map(events.map(({ jobId, removed }) => [jobId, removed]));
  const told: { event: RecordedEvent; record: JobRecord | undefined }[] = [];
  let bytes = 0;
  let last = next;
  for (const event of events) {
    if (!isInTime(event, query) || !isAsked(event.owner)) continue;
    if (query.jobId !== undefined && event.jobId !== query.jobId) continue;
    const record = event.removed === undefined ? find(event.jobId) : undefined;
    // Where its job was removed later, nobody knows more of it than is told of the removal.
    const removed = record === undefined ? removals.get(event.jobId) ?? UNKNOWN : undefined;
    if (!hasLabels(record?.settings?.labels ?? removed?.labels ?? {}, query.labels)) continue;
    told.push({ event: removed === undefined ? event : { ...event, removed }, record });
    bytes += sizeOf(record);
    last = event.number;
    if (bytes > MAX_PAGE_BYTES) break;
    last = next;
  }
  const shown = await views(told.flatMap(({ record }) => record === undefined ? [] : [record]));
  const viewOf = new Map(shown.map((view) => [view.record.id, view]));
  return {
    events: told.map(({ event }) => ({ ...event, view: viewOf.get(event.jobId) })),
    missed,
    next: last,
  };
}

function isInTime({ timeMs }: JobEvent, { sinceMs, untilMs }: EventQuery): boolean {
  return timeMs >= sinceMs && timeMs < untilMs;
}

function hasLabels(
  labels: Readonly<Record<string, string>>,
  asked: Readonly<Record<string, string>>,
): boolean {
  return Object.entries(asked).every(([name, value]) => labels[name] === value);
}

function sizeOf(record: JobRecord | undefined): number {
  return record?.command.args.reduce((sum, argument) => sum + argument.length, 0) ?? 0;
}
