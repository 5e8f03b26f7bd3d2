/**
 * Tells what a reader's scrolling means from what the page scrolls itself: whoever moves up from the
 * end no longer follows, and whoever moves down to it follows again. Pure.
 */

/** The end counts as reached within this distance. */
const NEAR_END_PX = 40;

/** Less is rounding: positions have fractions where a page is zoomed. */
const ROUNDING_PX = 2;

/** The measures of an element that scrolls. */
export interface PanePlace {
  readonly scrollTop: number;
  readonly scrollHeight: number;
  readonly clientHeight: number;
}

/** Remembers where a pane stands. */
export class EndPin {
  #top = 0;

  /** The page itself has put the pane there. */
  placed({ scrollTop }: PanePlace): void {
    this.#top = scrollTop;
  }

  /**
   * The pane has scrolled.
   *
   * @returns `left`: the reader has gone up from where it stood; `reached`: the reader has come down
   * to the end; undefined: neither, or the page has scrolled it.
   */
  moved({ scrollTop, scrollHeight, clientHeight }: PanePlace): "left" | "reached" | undefined {
    const downPx = scrollTop - this.#top;
    if (Math.abs(downPx) < ROUNDING_PX) return undefined;
    this.#top = scrollTop;
    const belowPx = scrollHeight - clientHeight - scrollTop;
    // A pane that became higher, or lines that became fewer, take the end along.
    if (downPx < 0) return belowPx < ROUNDING_PX ? undefined : "left";
    return belowPx < NEAR_END_PX ? "reached" : undefined;
  }
}
