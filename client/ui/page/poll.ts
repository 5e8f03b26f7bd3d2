/** Polls while the page is visible. */
import { useCallback, useEffect, useRef, useState } from "preact/hooks";

/** The interval is at least so many times the duration of an answer: slow servers are polled less. */
const PAUSES_PER_ANSWER = 10;

/** The last result. After a failure the last answer is kept. */
export interface Polled<Answer> {
  readonly answer: Answer | undefined;
  readonly error: Error | undefined;
  /** Polls at once. */
  readonly again: () => void;
}

/**
 * Repeats a request at intervals.
 *
 * @param ask Makes the request; with another function the last result is dropped.
 * @param intervalMs The time between two requests; 0: one request only.
 */
export function usePoll<Answer>(ask: () => Promise<Answer>, intervalMs: number): Polled<Answer> {
  const [known, setKnown] = useState<{ ask: unknown; answer?: Answer; error?: Error }>({ ask });
  const wake = useRef(() => {});
  useEffect(() => {
    let isOver = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let isAsking = false;
    const look = async () => {
      clearTimeout(timer);
      if (isOver || isAsking) return;
      isAsking = true;
      const askedAtMs = performance.now();
      try {
        const answer = await ask();
        if (!isOver) setKnown({ ask, answer });
      } catch (thrown) {
        const error = thrown instanceof Error ? thrown : new Error(String(thrown));
        if (!isOver) {
          setKnown((before) => before.ask === ask ? { ...before, error } : { ask, error });
        }
      }
      isAsking = false;
      if (isOver || intervalMs === 0) return;
      const tookMs = performance.now() - askedAtMs;
      timer = setTimeout(lookIfSeen, Math.max(intervalMs, tookMs * PAUSES_PER_ANSWER));
    };
    const lookIfSeen = () => {
      if (!document.hidden) look();
    };
    wake.current = look;
    look();
    document.addEventListener("visibilitychange", lookIfSeen);
    return () => {
      isOver = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", lookIfSeen);
    };
  }, [ask, intervalMs]);
  const again = useCallback(() => wake.current(), []);
  const isSame = known.ask === ask;
  return {
    answer: isSame ? known.answer : undefined,
    error: isSame ? known.error : undefined,
    again,
  };
}
