/** The server's own log (lib/log.ts), caught while a unit test runs. */

/** A line of the log. */
export interface LogEntry {
  readonly level: string;
  readonly message: string;
  readonly [field: string]: unknown;
}

/** Catches what is logged, until it is disposed of. */
export function captureLog(): Disposable & { readonly entries: LogEntry[]; messages(): string[] } {
  const entries: LogEntry[] = [];
  const own = Object.getOwnPropertyDescriptor(Deno.stderr, "writeSync");
  Object.defineProperty(Deno.stderr, "writeSync", {
    configurable: true,
    value: (bytes: Uint8Array) => {
      // In a journal each line begins with its priority.
      entries.push(JSON.parse(new TextDecoder().decode(bytes).replace(/^<\d>/, "")));
      return bytes.length;
    },
  });
  return {
    entries,
    messages: () => entries.map(({ message }) => message),
    [Symbol.dispose]() {
      if (own !== undefined) Object.defineProperty(Deno.stderr, "writeSync", own);
      else Reflect.deleteProperty(Deno.stderr, "writeSync");
    },
  };
}
