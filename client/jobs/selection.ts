/** Which jobs a user asks for by the words that tables print. Pure. */
import type { QueryResponse__Output } from "../../proto/contract.ts";
import { endingOf, hasFailed } from "./ending.ts";
import { JOB_STATES, type JobState, stateOf } from "./state.ts";

/** Words for jobs that have ended in one way; each of these jobs is `exited`, too. */
const ENDING_WORDS = ["oom", "timeout", "stopped", "signal"] as const;

/** States, and endings: what a table prints as the state of a job. */
export const STATE_WORDS = [...JOB_STATES, ...ENDING_WORDS] as const;

/** One of {@linkcode STATE_WORDS}. */
export type StateWord = typeof STATE_WORDS[number];

/** A selection: the server finds jobs by their states, and some of these are meant. */
export interface Selection {
  /** Empty: all. */
  readonly states: readonly JobState[];
  readonly matches: (job: QueryResponse__Output) => boolean;
  /** Whether the server finds just these by itself. */
  readonly failedOnly?: true;
}

/** Jobs that have not ended by themselves with exit code 0. */
export const FAILED: Selection = {
  states: ["exited", "lost", "never-ran"],
  matches: hasFailed,
  failedOnly: true,
};

/** Jobs of which one of the words is true; without words, all. */
export function selectionOf(words: readonly StateWord[]): Selection {
  const states = words.map((word) => isState(word) ? word : "exited");
  const isMeant = (job: QueryResponse__Output) =>
    words.some((word) => isState(word) ? stateOf(job) === word : endingOf(job) === word);
  return { states: [...new Set(states)], matches: words.length === 0 ? () => true : isMeant };
}

/** Whether a text is one of {@linkcode STATE_WORDS}. */
export function isStateWord(text: string): text is StateWord {
  return (STATE_WORDS as readonly string[]).includes(text);
}

function isState(word: StateWord): word is JobState {
  return (JOB_STATES as readonly string[]).includes(word);
}
