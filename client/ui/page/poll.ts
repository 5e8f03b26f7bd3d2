/** Asks again and again, as long as somebody looks. */
import { useCallback, useEffect, useRef, useState } from "preact/hooks";

/** An answer takes at most that part of the time: whoever is slow to answer is asked less often. */
const PAUSES_PER_ANSWER = 10;

/** What is known. After a failure the last answer stays. */
export interface Polled<Answer> {
  readonly answer: Answer | undefined;
  readonly error: Error | undefined;
  /** Asks at once. */
  readonly again: () => void;
}

/**
 * Keeps an answer fresh.
 *
 * @param ask Asks; another function is another question, and what was known is forgotten.
 * @param intervalMs The time between two questions; 0: one question only.
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
