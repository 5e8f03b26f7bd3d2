/**
 * Bounds the time of each test: one that waits for ever fails instead of stopping the whole run. And
 * each test ends when what it has logged is written: the writes are beside the server's thread, and one
 * under way would count as left over by the test.
 *
 * Loaded before the tests (`deno test --preload`), so that no test has to ask for it.
 */
import { logQueue } from "../../lib/log.ts";

/** How long a test may take unless JOB_WORKER_TEST_TIMEOUT_MS says otherwise. */
const DEFAULT_TIMEOUT_MS = 30_000;

/** What nobody reads is not waited for. */
const LOG_TIMEOUT_MS = 5_000;

const timeoutMs = Number(Deno.env.get("JOB_WORKER_TEST_TIMEOUT_MS") ?? DEFAULT_TIMEOUT_MS);

type TestFunction = Deno.TestDefinition["fn"];

/** The same test, which fails when its time is over. */
function bounded(fn: TestFunction): TestFunction {
  const run = async (context: Deno.TestContext) => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const overdue = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new Error(`"${context.name}" took more than ${timeoutMs} ms`)),
        timeoutMs,
      );
    });
    try {
      await Promise.race([fn(context), overdue]);
    } finally {
      clearTimeout(timer);
      await logQueue.flush(LOG_TIMEOUT_MS);
    }
  };
  // A test that is given as a function alone is called by the function's name.
  return Object.defineProperty(run, "name", { value: fn.name });
}

/** An argument of `Deno.test`, with whatever test is in it bounded. */
function boundedArgument(argument: unknown): unknown {
  if (typeof argument === "function") return bounded(argument as TestFunction);
  const definition = argument as Partial<Deno.TestDefinition> | null;
  if (typeof definition !== "object" || typeof definition?.fn !== "function") return argument;
  return { ...definition, fn: bounded(definition.fn) };
}

Object.defineProperty(Deno, "test", {
  value: new Proxy(Deno.test, {
    apply: (register, self, args: unknown[]) =>
      Reflect.apply(register, self, args.map(boundedArgument)),
  }),
});
