/** Fetches the part of a job's output that is shown. */
import type { Frame } from "../output_frames.ts";
import { OutputWindow } from "./output_window.ts";
import type { OutputRequest } from "../protocol.ts";
import { readOutput, requests } from "./requests.ts";

/** How much is fetched at once: more than a screen, and fast over a slow network. */
const STEP_BYTES = 256 * 1024;

/** At most so many lines at once, so that old and new ones fit into the window together. */
const STEP_LINES = 2_500;

/** How far a window starts before a place, to find the beginning of its line. */
const LEAD_BYTES = 8 * 1024;

/** After so many bytes the browser draws; meanwhile output waits or is left out. */
const DRAW_AFTER_BYTES = 256 * 1024;

/** The state of the fetching. */
export type OutputState =
  | { readonly kind: "loading" }
  /** Following the running job: the pane stands at its end, and new lines come. */
  | { readonly kind: "following" }
  /** Following until the reader went up; it goes on when the reader is back at the end. */
  | { readonly kind: "paused" }
  /** Showing a fixed part of the output. */
  | { readonly kind: "parked" }
  /** Complete: the job has ended. */
  | { readonly kind: "ended" }
  | { readonly kind: "failed"; readonly message: string };

/** Which output of which job. */
export interface OutputSource {
  readonly jobID: string;
  /** Its standard error, where it keeps that apart. */
  readonly stderr: boolean;
}

/** Which part of it. */
type OutputPart = Omit<OutputRequest, keyof OutputSource>;

/** Fetches one output of a job for a view. */
export class OutputController {
  readonly #source: OutputSource;
  readonly #onChange: () => void;
  #window = new OutputWindow();
  #state: OutputState = { kind: "loading" };
  #leave = new AbortController();

  /** @param onChange Called whenever the window or the state has changed. */
  constructor(source: OutputSource, onChange: () => void) {
    this.#source = source;
    this.#onChange = onChange;
  }

  get window(): OutputWindow {
    return this.#window;
  }

  get state(): OutputState {
    return this.#state;
  }

  /** Shows the end, and what comes. */
  follow(): void {
    this.#window = new OutputWindow();
    this.#run({ tailBytes: STEP_BYTES, follow: true }, { isTail: true });
  }

  /** Continues after a pause at the next byte. */
  resume(): void {
    if (this.#state.kind !== "following" && this.#state.kind !== "failed") return;
    this.#run({ offset: this.#window.end, follow: true }, {});
  }

  /** Pauses the fetching. */
  pause(): void {
    this.#leave.abort();
  }

  /** Stays where it is. */
  park(): void {
    this.#leave.abort();
    this.#set({ kind: "parked" });
  }

  /** Stays where it is for a while, if it follows: what stands there must not be scrolled away. */
  halt(): void {
    if (this.#state.kind !== "following") return;
    this.#leave.abort();
    this.#set({ kind: "paused" });
  }

  /**
   * Follows again after {@linkcode halt}.
   *
   * @param behindBytes What has been written since; if it is much, its end alone is shown.
   */
  rejoin(behindBytes: number): void {
    if (this.#state.kind !== "paused") return;
    if (behindBytes > STEP_BYTES) this.follow();
    else this.#run({ offset: this.#window.end, follow: true }, {});
  }

  /** Shows the first part. */
  begin(): void {
    this.goTo(0);
  }

  /** Shows the part that begins with the line at an offset. */
  async goTo(offset: number): Promise<void> {
    this.#window = new OutputWindow();
    await this.#run({ offset, follow: false, length: STEP_BYTES }, { isTail: offset > 0 });
  }

  /** Shows the part around an offset. */
  async show(offset: number): Promise<void> {
    await this.goTo(Math.max(0, offset - LEAD_BYTES));
  }

  /** Adds what stands before the window. */
  async earlier(): Promise<void> {
    const end = this.#window.begin;
    const offset = Math.max(0, end - STEP_BYTES);
    const part = new OutputWindow({ maxLines: STEP_LINES, maxBytes: STEP_BYTES });
    const length = end - offset;
    const options = { isTail: offset > 0, target: part };
    // The window stays where it is when something else is asked for meanwhile.
    if (!await this.#load({ offset, follow: false, length }, options)) return;
    this.#window.prepend(part);
    this.#set({ kind: "parked" });
  }

  /** Adds what stands behind it. */
  later(): void {
    const offset = this.#window.end;
    this.#run({ offset, follow: false, length: STEP_BYTES }, {});
  }

  /**
   * Searches the whole output, from an offset and then from the beginning, and shows the match.
   *
   * @returns The offset of the match; null where there is none.
   */
  async find(text: string, offset: number, signal: AbortSignal): Promise<number | null> {
    const look = (offset: number) => requests.find({ ...this.#source, text, offset }, signal);
    const place = await look(offset) ?? (offset > 0 ? await look(0) : null);
    if (place !== null) await this.show(place);
    return place;
  }

  async #run(
    request: OutputPart,
    { isTail = false }: { isTail?: boolean },
  ): Promise<void> {
    this.#set({ kind: request.follow ? "following" : "loading" });
    const maxLines = request.follow ? Infinity : STEP_LINES;
    await this.#load(request, { isTail, maxLines, target: this.#window });
  }

  /**
   * Reads a part into a window. What else is being read is left.
   *
   * @returns Whether it has been read.
   */
  async #load(
    request: OutputPart,
    { target, ...options }: { isTail: boolean; maxLines?: number; target: OutputWindow },
  ): Promise<boolean> {
    this.#leave.abort();
    const leave = new AbortController();
    this.#leave = leave;
    const taker = new FrameTaker(target, options);
    let sinceDraw = 0;
    try {
      for await (const frames of readOutput({ ...request, ...this.#source }, leave.signal)) {
        for (const frame of frames) {
          const last = taker.take(frame);
          if (last?.kind === "error") this.#set({ kind: "failed", message: last.text });
          if (last?.kind === "end") this.#set({ kind: request.follow ? "ended" : "parked" });
          if (frame.kind === "bytes") sinceDraw += frame.bytes.length;
        }
        if (leave.signal.aborted) return false;
        this.#onChange();
        if (taker.isFull) {
          leave.abort();
          this.#set({ kind: "parked" });
          return true;
        }
        if (sinceDraw > DRAW_AFTER_BYTES) {
          await nextDrawing();
          sinceDraw = 0;
        }
      }
      return true;
    } catch (error) {
      if (leave.signal.aborted) return false;
      this.#set({ kind: "failed", message: error instanceof Error ? error.message : `${error}` });
      return false;
    }
  }

  #set(state: OutputState): void {
    this.#state = state;
    this.#onChange();
  }
}

/** Puts frames into a window, from the first whole line on where it begins somewhere in the middle. */
class FrameTaker {
  readonly #window: OutputWindow;
  #isInLine: boolean;
  #roomLines: number;

  constructor(
    window: OutputWindow,
    { isTail, maxLines = Infinity }: { isTail: boolean; maxLines?: number },
  ) {
    this.#window = window;
    this.#roomLines = maxLines;
    this.#isInLine = isTail;
  }

  /** Whether it has taken as many lines as it may. */
  get isFull(): boolean {
    return this.#roomLines <= 0;
  }

  /** @returns The frame, where it is the last one. */
  take(frame: Frame): Frame | undefined {
    switch (frame.kind) {
      case "bytes":
        this.#takeBytes(frame.bytes, frame.offset);
        return undefined;
      case "note":
        this.#window.note(frame.text);
        return undefined;
      default:
        return frame;
    }
  }

  #takeBytes(bytes: Uint8Array, offset: number): void {
    let cut = 0;
    if (this.#isInLine && offset > 0) {
      const end = bytes.subarray(0, LEAD_BYTES).indexOf(0x0a);
      // A line that is longer is shown from somewhere in it.
      if (end >= 0) cut = end + 1;
    }
    this.#isInLine = false;
    this.#window.append(bytes.subarray(cut, this.#endOfRoom(bytes, cut)), offset + cut);
  }

  /** Up to where the bytes may be taken. */
  #endOfRoom(bytes: Uint8Array, begin: number): number {
    if (this.#roomLines === Infinity) return bytes.length;
    let end = begin;
    while (this.#roomLines > 0) {
      const index = bytes.indexOf(0x0a, end);
      if (index < 0) return bytes.length;
      end = index + 1;
      this.#roomLines -= 1;
    }
    return end;
  }
}

/** Waits until the browser has drawn; a page that is hidden draws nothing. */
function nextDrawing(): Promise<void> {
  return new Promise((resolve) => {
    if (document.hidden) setTimeout(resolve, 0);
    else requestAnimationFrame(() => setTimeout(resolve, 0));
  });
}
