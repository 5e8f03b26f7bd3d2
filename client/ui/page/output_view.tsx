/** A job's output: live or any part of it, with search. */
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { EndPin } from "./end_pin.ts";
import { bytesText } from "./facts.ts";
import { OutputController } from "./output_controller.ts";
import { OutputLines } from "./output_lines.ts";
import type { Job } from "./requests.ts";

/** The drawing and the fetching of one job's output. */
interface Machine {
  readonly controller: OutputController;
  readonly lines: OutputLines;
  readonly pin: EndPin;
}

/** Scrolls a pane to its end. */
function goToEnd(element: HTMLElement, pin: EndPin): void {
  element.scrollTop = element.scrollHeight;
  pin.placed(element);
}

interface OutputViewProps {
  readonly job: Job;
  /** Whether it is the job's standard error, which it keeps apart. */
  readonly stderr: boolean;
  /** Whether the keys of the page are for this one. */
  readonly hasKeys: boolean;
  /** What the address says is searched for. */
  readonly find: string;
  readonly setFind: (text: string) => void;
}

/** One output of a job. */
export function OutputView({ job, stderr, hasKeys, find: search, setFind }: OutputViewProps) {
  const { jobID } = job;
  const name = !job.separateStderr ? "Output" : stderr ? "Standard error" : "Standard output";
  const [firstOffset, bytes] = stderr
    ? [job.stderrFirstOffset, job.stderrBytes]
    : [job.outputFirstOffset, job.outputBytes];
  const pane = useRef<HTMLDivElement>(null);
  const machine = useRef<Machine>(undefined);
  /** Whether the pane stays at its end when lines come, or when it changes its size. */
  const isPinned = useRef(true);
  const [, redraw] = useState(0);
  const [isWrapped, setIsWrapped] = useState(true);
  const [searched, setSearched] = useState<string>();
  const searching = useRef<AbortController>(undefined);
  /** What is searched for once there is output. */
  const awaited = useRef(search);

  useEffect(() => {
    const element = pane.current;
    if (element === null) return;
    const lines = new OutputLines(element);
    const pin = new EndPin();
    let isDue = false;
    const draw = () => {
      isDue = false;
      lines.draw(controller.window.lines);
      if (isPinned.current) goToEnd(element, pin);
      else pin.placed(element);
      if (awaited.current !== "" && controller.window.lines.length > 0) {
        lines.search(awaited.current);
        awaited.current = "";
        if (lines.count.all > 0) {
          isPinned.current = false;
          controller.halt();
          lines.showCurrent();
          pin.placed(element);
        }
      }
      redraw((count) => count + 1);
    };
    const controller = new OutputController({ jobID, stderr }, () => {
      if (isDue) return;
      isDue = true;
      requestAnimationFrame(draw);
    });
    machine.current = { controller, lines, pin };
    controller.follow();
    const size = new ResizeObserver(() => {
      if (isPinned.current) goToEnd(element, pin);
    });
    size.observe(element);
    // A browser opens at most six connections to one address: hidden tabs close theirs.
    const look = () => document.hidden ? controller.pause() : controller.resume();
    document.addEventListener("visibilitychange", look);
    return () => {
      document.removeEventListener("visibilitychange", look);
      size.disconnect();
      controller.pause();
      searching.current?.abort();
    };
  }, [jobID, stderr]);

  useLayoutEffect(() => {
    const [element, pin] = [pane.current, machine.current?.pin];
    if (element && pin && isPinned.current) goToEnd(element, pin);
  }, [isWrapped]);

  // The address also changes by going back.
  useEffect(() => {
    if (awaited.current === "") machine.current?.lines.search(search);
  }, [search]);

  const { controller, lines, pin } = machine.current ?? {};
  const state = controller?.state ?? { kind: "loading" };
  const isFollowing = state.kind === "following";
  const begin = controller?.window.begin ?? 0;
  const end = controller?.window.end ?? 0;
  const hidden = begin - firstOffset;
  const isStill = state.kind === "parked" || state.kind === "paused";
  const behind = isStill ? Math.max(0, bytes - end) : 0;

  const follow = () => {
    isPinned.current = true;
    controller?.follow();
  };
  const park = (move: () => unknown) => {
    isPinned.current = false;
    move();
  };
  const rejoin = () => {
    isPinned.current = true;
    controller?.rejoin(behind);
  };
  /** Shows a place that must stay in sight, though lines come. */
  const stayAt = (show: () => void) => {
    if (lines === undefined || lines.count.all === 0) return;
    isPinned.current = false;
    controller?.halt();
    show();
    if (pane.current) pin?.placed(pane.current);
  };
  const scrolled = (element: HTMLElement) => {
    const move = pin?.moved(element);
    if (move === "left") {
      isPinned.current = false;
      controller?.halt();
    }
    const kind = controller?.state.kind;
    if (move === "reached" && kind === "paused") rejoin();
    if (move === "reached" && kind === "ended") isPinned.current = true;
  };
  const find = (text: string) => {
    setFind(text);
    setSearched(undefined);
    awaited.current = "";
    lines?.search(text);
    if (text !== "") stayAt(() => lines?.showCurrent());
  };
  const step = (direction: 1 | -1) => {
    stayAt(() => lines?.step(direction));
    redraw((count) => count + 1);
  };
  const findInAll = async () => {
    if (controller === undefined || search === "") return;
    searching.current?.abort();
    const leave = searching.current = new AbortController();
    const from = lines?.currentOffset === undefined ? 0 : end;
    setSearched("Searching all of the output…");
    try {
      const place = await controller.find(search, from, leave.signal);
      setSearched(
        place === null ? "Not found in the output (upper and lower case matter)." : undefined,
      );
      if (place === null) return;
      isPinned.current = false;
      lines?.draw(controller.window.lines);
      lines?.choose(place);
      if (pane.current) pin?.placed(pane.current);
    } catch (error) {
      if (!leave.signal.aborted) setSearched(error instanceof Error ? error.message : `${error}`);
    }
  };
  const count = lines?.count ?? { all: 0, current: 0 };
  return (
    <section class="output" aria-label={name}>
      <div class="toolbar">
        <h2>{name}</h2>
        <span class="status" role="status">{statusText(state.kind, job.exited)}</span>
        <span class="find">
          <input
            type="search"
            id={hasKeys ? "find" : undefined}
            aria-label={stderr ? "Search standard error" : "Search the output"}
            placeholder="Search (/)"
            value={search}
            onInput={(event) => find(event.currentTarget.value)}
            onKeyDown={(event) => {
              if (event.key === "Enter") step(event.shiftKey ? 1 : -1);
            }}
          />
          {search !== "" && (
            <>
              <span class="count">{count.current}/{count.all}</span>
              <button type="button" aria-label="Previous" onClick={() => step(-1)}>↑</button>
              <button type="button" aria-label="Next" onClick={() => step(1)}>↓</button>
              {(hidden > 0 || behind > 0) && (
                <button type="button" onClick={findInAll}>In all</button>
              )}
            </>
          )}
        </span>
        <label>
          <input
            type="checkbox"
            checked={isWrapped}
            onChange={(event) => setIsWrapped(event.currentTarget.checked)}
          />
          Wrap
        </label>
        <a class="button" href={`download/${jobID}${stderr ? "/stderr" : ""}`} download>Download</a>
        {(isFollowing || !job.exited) && (
          <label>
            <input
              type="checkbox"
              id={hasKeys ? "follow" : undefined}
              checked={isFollowing}
              onChange={(event) =>
                event.currentTarget.checked ? follow() : park(() => controller?.park())}
            />
            Follow
          </label>
        )}
      </div>
      {searched && <p class="hint" role="status">{searched}</p>}
      {firstOffset > 0 && <p class="gap">The first {bytesText(firstOffset)} were rotated away.</p>}
      {hidden > 0 && end > begin && (
        <p class="gap">
          {bytesText(hidden)} before this are not shown.{" "}
          <button type="button" onClick={() => park(() => controller?.earlier())}>Earlier</button>
          {" "}
          <button type="button" onClick={() => park(() => controller?.begin())}>
            From the beginning
          </button>
        </p>
      )}
      <div
        ref={pane}
        class={isWrapped ? "pane wrapped" : "pane"}
        tabIndex={0}
        role="log"
        aria-live="off"
        aria-label={stderr ? "Lines of standard error" : "Lines of output"}
        onScroll={(event) => scrolled(event.currentTarget)}
      />
      {end === begin && state.kind !== "loading" && state.kind !== "failed" && (
        <p class="empty">{job.exited ? "The job has printed nothing." : "Nothing yet."}</p>
      )}
      {behind > 0 && (
        <p class="gap">
          {bytesText(behind)} after this are not shown.{" "}
          <button type="button" onClick={() => park(() => controller?.later())}>Later</button>{" "}
          <button type="button" onClick={follow}>To the end</button>
        </p>
      )}
      {state.kind === "failed" && (
        <p class="trouble" role="alert">
          {state.message} <button type="button" onClick={follow}>Try again</button>
        </p>
      )}
    </section>
  );
}

function statusText(kind: string, hasEnded: boolean): string {
  switch (kind) {
    case "following":
      return hasEnded ? "" : "live";
    case "loading":
      return "loading…";
    case "paused":
      return hasEnded ? "partial" : "paused";
    case "parked":
      return "partial";
    case "ended":
      return "complete";
    default:
      return "";
  }
}
