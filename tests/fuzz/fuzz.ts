/**
 * Inputs by the thousand. What a target does with each must be one of the things that it may do;
 * every run says how many inputs it has tried, and a finding says the seed that brings it back.
 *
 * JOB_WORKER_FUZZ_RUNS and JOB_WORKER_FUZZ_SEED set both; tests take few and always the same ones.
 */
import * as fc from "fast-check";

const RUNS = Number(Deno.env.get("JOB_WORKER_FUZZ_RUNS") ?? 500);
const SEED = Number(Deno.env.get("JOB_WORKER_FUZZ_SEED") ?? 1);

/** An input that takes longer hangs: the worst ones take milliseconds. */
const INPUT_DEADLINE_MS = 20_000;

/** An input may be a file; its seed brings it back as a whole. */
const MAX_SHOWN_CHARACTERS = 500;

/** What is tried. */
export interface Target<Input> {
  readonly inputs: fc.Arbitrary<Input>;
  /** Throws, or is false, for a finding. */
  readonly holds: (input: Input) => boolean | void | Promise<boolean | void>;
  /** How many of the usual number of inputs; less where each takes long. */
  readonly share?: number;
}

/** Tries a target as a test. */
export function fuzz<Input>(name: string, { inputs, holds, share = 1 }: Target<Input>): void {
  // Connections that are given up have timers that run out by themselves.
  Deno.test({ name: `fuzz: ${name}`, sanitizeOps: false, sanitizeResources: false, fn });
  async function fn(): Promise<void> {
    let count = 0;
    const property = fc.asyncProperty(inputs, async (input) => {
      count += 1;
      const startMs = performance.now();
      const isFine = await holds(input);
      const tookMs = performance.now() - startMs;
      if (tookMs > INPUT_DEADLINE_MS) throw new Error(`it took ${Math.round(tookMs)} ms`);
      return isFine;
    });
    const numRuns = Math.max(1, Math.round(RUNS * share));
    const details = await fc.check(property, { numRuns, seed: SEED, verbose: false });
    const findings = details.failed ? 1 : 0;
    console.log(`fuzz: ${name}: ${count} inputs, ${findings} findings, seed ${SEED}`);
    if (!details.failed) return;
    const input = fc.stringify(details.counterexample);
    throw new Error(
      `seed ${SEED}, path ${details.counterexamplePath}: ${input.slice(0, MAX_SHOWN_CHARACTERS)}`,
      { cause: details.errorInstance },
    );
  }
}

/** Bytes that were good once: some are changed, taken out or put in, or the end is cut off. */
export function mutated(original: Uint8Array): fc.Arbitrary<Uint8Array<ArrayBuffer>> {
  const at = fc.nat({ max: Math.max(0, original.length - 1) });
  const change = fc.record({
    kind: fc.constantFrom("set", "flip", "remove", "insert", "cut", "double"),
    at,
    value: fc.nat({ max: 255 }),
    length: fc.nat({ max: 16 }),
  });
  return fc.array(change, { minLength: 1, maxLength: 6 }).map((changes) => {
    let bytes = [...original];
    for (const { kind, at, value, length } of changes) {
      if (kind === "set") bytes[at] = value;
      else if (kind === "flip") bytes[at] = (bytes[at] ?? 0) ^ (1 << (value % 8));
      else if (kind === "remove") bytes.splice(at, length);
      else if (kind === "insert") bytes.splice(at, 0, ...Array(length).fill(value));
      else if (kind === "double") bytes.splice(at, 0, ...bytes.slice(at, at + length));
      else if (value < 32) bytes = bytes.slice(0, at);
    }
    return Uint8Array.from(bytes, (byte) => byte ?? 0);
  });
}

/** The same for text. */
export function mutatedText(...originals: readonly string[]): fc.Arbitrary<string> {
  const encoder = new TextEncoder();
  const decoder = new TextDecoder();
  return fc.oneof(
    ...originals.map((text) => mutated(encoder.encode(text)).map((bytes) => decoder.decode(bytes))),
    fc.string({ unit: "binary", maxLength: 200 }),
  );
}

/** Runs an action that may throw errors of one kind only; returns whether it did not throw. */
export function succeeds(
  action: () => unknown,
  allowed: (error: unknown) => boolean,
): boolean {
  try {
    action();
    return true;
  } catch (error) {
    if (allowed(error)) return false;
    throw error;
  }
}
