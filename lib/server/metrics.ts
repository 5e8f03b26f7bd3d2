/** The server's metrics, in the form that Prometheus reads. */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { AccessEvent, CallEnded } from "../access/events.ts";
import type { JobState } from "../model/record.ts";
import { methodNameOf } from "../rbac.ts";
import type { StreamTotals } from "./stream_totals.ts";

/** Where the values come from that are read anew for each request. */
export interface MetricSources {
  readonly version: string;
  /** The states of the jobs that have not ended. */
  activeStates(): Iterable<JobState["kind"]>;
  /** Jobs that have ended and are on record. */
  endedCount(): number;
  /** Open connections. */
  connectionCount(): number;
  /** Files whose content expires, such as certificates, in milliseconds since 1970-01-01 UTC. */
  expiries(): Iterable<{ file: string; atMs: number }>;
  readonly streams: StreamTotals;
  /** Resident memory. */
  residentBytes(): number;
}

/** Bounds of the histogram, in seconds: from a Query to a Stop that waits for its job. */
const CALL_SECONDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** Calls that last as long as their caller or a job decides; their durations say nothing. */
const WAITING_METHODS: ReadonlySet<string> = new Set([
  "Stream",
  "Wait",
  "Events",
  "Health/Watch",
  "ServerReflection/ServerReflectionInfo",
]);

/** The label of methods that do not exist. */
const UNKNOWN = "unknown";

/** How often the delay of the event loop is measured. */
const LOOP_INTERVAL_MS = 200;

/** All metrics of one server. */
export class Metrics implements Disposable {
  readonly #registry = new Registry();
  readonly #calls: Counter<"method" | "code">;
  readonly #seconds: Histogram<"method">;
  readonly #refused: Counter<"reason">;
  readonly #loop = new LoopDelay();

  constructor(sources: MetricSources) {
    const registers = [this.#registry];
    this.#calls = new Counter({
      name: "job_worker_calls_total",
      help: "Calls that have ended, by method and gRPC status.",
      labelNames: ["method", "code"],
      registers,
    });
    this.#seconds = new Histogram({
      name: "job_worker_call_duration_seconds",
      help: "How long calls took that are not streams and do not wait for a job's own end.",
      labelNames: ["method"],
      buckets: CALL_SECONDS,
      registers,
    });
    this.#refused = new Counter({
      name: "job_worker_refused_connections_total",
      help: "Connections that were refused at the handshake, or closed for too many stream resets.",
      labelNames: ["reason"],
      registers,
    });
    for (const reason of ["handshake", "storm"]) this.#refused.inc({ reason }, 0);
    this.#addGauges(sources);
  }

  /** Counts an event. */
  count(event: AccessEvent): void {
    switch (event.kind) {
      case "change-begun":
      case "change-ended":
        return;
      case "call-ended":
        return this.#countCall(event);
      case "handshake-refused":
        return this.#refused.inc({ reason: "handshake" });
      case "reset-storm":
        return this.#refused.inc({ reason: "storm" });
    }
  }

  /** The text that Prometheus reads. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  /** The type of that text. */
  get contentType(): string {
    return this.#registry.contentType;
  }

  [Symbol.dispose](): void {
    this.#loop[Symbol.dispose]();
  }

  #countCall({ path, code, durationMs }: CallEnded): void {
    // Names of methods that do not exist come from callers: each would add a time series.
    const method = methodNameOf(path) ?? UNKNOWN;
    this.#calls.inc({ method, code });
    if (method === UNKNOWN || WAITING_METHODS.has(method)) return;
    this.#seconds.observe({ method }, durationMs / 1000);
  }

  #addGauges(sources: MetricSources): void {
    this.#gauge("job_worker_build_info", "The server's version.", "version", (gauge) => {
      gauge.set({ version: sources.version }, 1);
    });
    this.#gauge("job_worker_jobs", "Jobs on record, by state.", "state", (gauge) => {
      const states = [...sources.activeStates()];
      for (const state of ["pending", "running", "stopping"]) {
        gauge.set({ state }, states.filter((other) => other === state).length);
      }
      gauge.set({ state: "ended" }, sources.endedCount());
    });
    this.#gauge(
      "job_worker_expiry_timestamp_seconds",
      "When certificates and revocation lists expire, in seconds since 1970.",
      "file",
      (gauge) => {
        gauge.reset();
        for (const { file, atMs } of sources.expiries()) gauge.set({ file }, atMs / 1000);
      },
    );
    this.#number("job_worker_connections", "Open connections.", () => sources.connectionCount());
    this.#number("job_worker_open_streams", "Streams that are open.", () => sources.streams.open);
    this.#number(
      "job_worker_event_loop_delay_seconds",
      "The longest delay of the event loop since the last request for the metrics.",
      () => this.#loop.take(),
    );
    this.#number(
      "process_resident_memory_bytes",
      "Resident memory of the server.",
      () => sources.residentBytes(),
    );
    const streams = sources.streams;
    new Counter({
      name: "job_worker_streamed_bytes_total",
      help: "Bytes of output that were sent to readers.",
      registers: [this.#registry],
      collect() {
        this.reset();
        this.inc(streams.bytes);
      },
    });
  }

  #number(name: string, help: string, read: () => number): void {
    new Gauge({
      name,
      help,
      registers: [this.#registry],
      collect() {
        this.set(read());
      },
    });
  }

  #gauge<Label extends string>(
    name: string,
    help: string,
    label: Label,
    collect: (gauge: Gauge<Label>) => void,
  ): void {
    new Gauge<Label>({
      name,
      help,
      labelNames: [label],
      registers: [this.#registry],
      collect() {
        collect(this);
      },
    });
  }
}

/** How late a timer fires: all other work of the server is late by as much. */
class LoopDelay implements Disposable {
  #longestMs = 0;
  #dueMs = performance.now() + LOOP_INTERVAL_MS;
  readonly #timer = setInterval(() => {
    const nowMs = performance.now();
    this.#longestMs = Math.max(this.#longestMs, nowMs - this.#dueMs);
    this.#dueMs = nowMs + LOOP_INTERVAL_MS;
  }, LOOP_INTERVAL_MS);

  /** The longest delay since the last call of this, in seconds. */
  take(): number {
    const seconds = Math.max(0, this.#longestMs) / 1000;
    this.#longestMs = 0;
    return seconds;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
