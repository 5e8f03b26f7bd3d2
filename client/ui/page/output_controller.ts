/** Which part of a job's output is shown, and how it gets here. */
import type { Frame } from "../frames.ts";
import { OutputWindow } from "./output_window.ts";
import { type OutputRequest, readOutput, requests } from "./requests.ts";

/** What is fetched at once: more than a screen, and quick over a slow network. */
const STEP_BYTES = 256 * 1024;

/** A line's beginning is looked for that far behind the place where a window begins. */
const LEAD_BYTES = 8 * 1024;

/** After so many bytes the browser gets to draw, and what comes meanwhile waits or is left out. */
const DRAW_AFTER_BYTES = 256 * 1024;

/** How it is going. */
export type OutputState =
  | { readonly kind: "loading" }
  /** Going on while the job runs. */
  | { readonly kind: "following" }
  /** A part somewhere in the output. */
  | { readonly kind: "parked" }
  /** All is there, and no more will come. */
  | { readonly kind: "ended" }
  | { readonly kind: "failed"; readonly message: string };

/** Fetches the output of one job for a view. */
export class OutputController {
  readonly #jobID: string;
  readonly #onChange: () => void;
  #window = new OutputWindow();
  #state: OutputState = { kind: "loading" };
  #leave = new AbortController();

  /** @param onChange Called whenever the window or the state has changed. */
  constructor(jobID: string, onChange: () => void) {
    this.#jobID = jobID;
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

  /** Goes on after a pause, at the very byte. */
  resume(): void {
    if (this.#state.kind !== "following" && this.#state.kind !== "failed") return;
    this.#run({ offset: this.#window.end, follow: true }, {});
  }

  /** Takes nothing more for now. */
  pause(): void {
    this.#leave.abort();
  }

  /** Stays where it is. */
  park(): void {
    this.#leave.abort();
    this.#set({ kind: "parked" });
  }

  /** Shows the first part. */
  begin(): void {
    this.goTo(0);
  }

  /** Shows the part that begins with the line at an offset. */
  goTo(offset: number): void {
    this.#window = new OutputWindow();
    this.#run({ offset, follow: false, length: STEP_BYTES }, { isTail: offset > 0 });
  }

  /** Shows the part around an offset. */
  show(offset: number): void {
    this.goTo(Math.max(0, offset - STEP_BYTES / 4));
  }

  /** Adds what stands before the window. */
  async earlier(): Promise<void> {
    const end = this.#window.begin;
    const offset = Math.max(0, end - STEP_BYTES);
    const part = new OutputWindow();
    const length = end - offset;
    await this.#load({ offset, follow: false, length }, { isTail: offset > 0, target: part });
    this.#window.prepend(part);
    this.#set({ kind: "parked" });
  }

  /** Adds what stands behind it. */
  later(): void {
    const offset = this.#window.end;
    this.#run({ offset, follow: false, length: STEP_BYTES }, {});
  }

  /**
   * Looks for a text behind an offset in the whole output, and shows the place.
   *
   * @returns Whether it was found.
   */
  async find(text: string, offset: number, signal: AbortSignal): Promise<boolean> {
    const place = await requests.find({ jobID: this.#jobID, text, offset }, signal);
    if (place === null) return false;
    this.show(place);
    return true;
  }

  async #run(
    request: Omit<OutputRequest, "jobID">,
    { isTail = false }: { isTail?: boolean },
  ): Promise<void> {
    this.#set({ kind: request.follow ? "following" : "loading" });
    await this.#load(request, { isTail, target: this.#window });
  }

  /** Reads a part into a window. What else is being read is left. */
  async #load(
    request: Omit<OutputRequest, "jobID">,
    { isTail, target }: { isTail: boolean; target: OutputWindow },
  ): Promise<void> {
    this.#leave.abort();
    const leave = new AbortController();
    this.#leave = leave;
    const taker = new FrameTaker(target, { isTail });
    let sinceDraw = 0;
    try {
      for await (const frames of readOutput({ ...request, jobID: this.#jobID }, leave.signal)) {
        for (const frame of frames) {
          const last = taker.take(frame);
          if (last?.kind === "error") this.#set({ kind: "failed", message: last.text });
          if (last?.kind === "end") this.#set({ kind: request.follow ? "ended" : "parked" });
          if (frame.kind === "bytes") sinceDraw += frame.bytes.length;
        }
        if (!leave.signal.aborted) this.#onChange();
        if (sinceDraw > DRAW_AFTER_BYTES) {
          await nextDrawing();
          sinceDraw = 0;
        }
      }
    } catch (error) {
      if (leave.signal.aborted) return;
      this.#set({ kind: "failed", message: error instanceof Error ? error.message : `${error}` });
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

  constructor(window: OutputWindow, { isTail }: { isTail: boolean }) {
    this.#window = window;
    this.#isInLine = isTail;
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
    this.#window.append(bytes.subarray(cut), offset + cut);
  }
}

/** Waits until the browser has drawn; a page that is hidden draws nothing. */
function nextDrawing(): Promise<void> {
  return new Promise((resolve) => {
    if (document.hidden) setTimeout(resolve, 0);
    else requestAnimationFrame(() => setTimeout(resolve, 0));
  });
}
