/** The server's own log: one JSON object a line on standard error, which every log collector reads. */

/** Values that are logged beside a message. Never a key, an environment value or a job's output. */
export type LogFields = Record<string, string | number | boolean | undefined>;

const encoder = new TextEncoder();

function write(level: "info" | "warn" | "error", message: string, fields: LogFields): void {
  const entry = { time: new Date().toISOString(), level, message, ...fields };
  try {
    Deno.stderr.writeSync(encoder.encode(`${JSON.stringify(entry)}\n`));
  } catch {
    // Whoever read the log is gone. The server's work matters more than its log.
  }
}

/** Writes entries of three levels. */
export const log = {
  info: (message: string, fields: LogFields = {}) => write("info", message, fields),
  warn: (message: string, fields: LogFields = {}) => write("warn", message, fields),
  error: (message: string, fields: LogFields = {}) => write("error", message, fields),
};
