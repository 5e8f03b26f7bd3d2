/** The form that starts a job. */
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { type About, SWITCHES, TEXT_FIELDS, type TextField } from "../protocol.ts";
import { RequestError, requests } from "./requests.ts";
import { linkTo } from "./route.ts";
import { QuoteError, shellHint, splitLines, splitWords } from "./words.ts";

/** Fields of one line: name, label, placeholder. */
type FieldSpec = readonly [name: TextField, label: string, placeholder: string];

const PROCESS: readonly FieldSpec[] = [
  ["name", "Name", "can be used in place of the job's id"],
  ["cwd", "Directory", "/"],
  ["user", "User", ""],
];
const LIMITS: readonly FieldSpec[] = [
  ["timeout", "Timeout", "none; 30s, 10m, 2h"],
  ["cpu", "CPU", "the server's; 50%, 200%"],
  ["memory", "Memory", "the server's; 256M"],
  ["diskIo", "Disk I/O", "the server's; 10MB/s"],
  ["processes", "Processes", "the server's; 100"],
  ["grace", "Grace period", "the server's; 10s"],
  ["stopSignal", "Stop signal", "TERM"],
];
const SWITCH_LABELS: Readonly<Record<typeof SWITCHES[number], string>> = {
  privateTmp: "Private /tmp",
  noNetwork: "No network",
  ownProcesses: "Sees only its own processes",
};

/** How the command is entered. */
type Mode = "words" | "lines";

/** Splits what was typed; `problem` says why that is not possible. */
function readCommand(text: string, mode: Mode): { words: string[]; problem?: string } {
  try {
    return { words: mode === "words" ? splitWords(text) : splitLines(text) };
  } catch (error) {
    if (!(error instanceof QuoteError)) throw error;
    return { words: [], problem: error.message };
  }
}

/** A job's command and its settings. */
export function StartView({ about }: { readonly about: About | undefined }) {
  const [mode, setMode] = useState<Mode>("words");
  const [command, setCommand] = useState("");
  const [error, setError] = useState<string>();
  const [isStarting, setIsStarting] = useState(false);
  // While the outcome of a start is unknown, another try must not run the job twice.
  const key = useRef(crypto.randomUUID());
  const line = useRef<HTMLTextAreaElement>(null);
  useEffect(() => line.current?.focus(), []);
  const { words, problem } = useMemo(() => readCommand(command, mode), [command, mode]);
  const start = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const text = (name: string) => String(form.get(name) ?? "");
    setIsStarting(true);
    setError(undefined);
    try {
      const { jobID } = await requests.start({
        words,
        idempotencyKey: key.current,
        ...Object.fromEntries(TEXT_FIELDS.map((name) => [name, text(name)])),
        ...Object.fromEntries(SWITCHES.map((name) => [name, form.has(name)])),
      });
      location.hash = linkTo({ view: "job", jobID });
    } catch (thrown) {
      setError(thrown instanceof Error ? thrown.message : String(thrown));
      if (!(thrown instanceof RequestError && thrown.isTemporary)) {
        key.current = crypto.randomUUID();
      }
    } finally {
      setIsStarting(false);
    }
  };
  const field = ([name, label, placeholder]: FieldSpec) => (
    <label key={name}>
      {label}
      <input
        name={name}
        placeholder={name === "user" ? about?.jobUser ?? "" : placeholder}
        autocomplete="off"
        spellcheck={false}
      />
    </label>
  );
  const isReader = about !== undefined && !about.roles.includes("writer");
  const hint = shellHint(words);
  return (
    <main>
      <form class="start" onSubmit={start}>
        <h1>Start a job</h1>
        {isReader && (
          <p class="trouble">
            You are {about.userName}, {about.roles.join(" and ")}{" "}
            on this server: only a writer may start jobs, so the server will refuse it.
          </p>
        )}
        <fieldset class="choices">
          <legend class="unseen">How the command is entered</legend>
          <label>
            <input
              type="radio"
              name="mode"
              checked={mode === "words"}
              onChange={() => setMode("words")}
            />
            Command line
          </label>
          <label>
            <input
              type="radio"
              name="mode"
              checked={mode === "lines"}
              onChange={() => setMode("lines")}
            />
            Program and arguments, one a line
          </label>
        </fieldset>
        <label>
          Command
          <textarea
            ref={line}
            class="code"
            rows={mode === "words" ? 3 : 6}
            spellcheck={false}
            value={command}
            placeholder={mode === "words" ? "sh -c 'make && make test'" : "ls\n-la\n/srv"}
            onInput={(event) => setCommand(event.currentTarget.value)}
            aria-describedby="rule"
          />
        </label>
        <p id="rule" class="hint">
          {mode === "words"
            ? 'Blanks separate words; \'…\' is literal; \\ escapes the next character, inside of "…" only \\" and \\\\. Nothing else is special: there is no shell.'
            : "Each line is one word, literally, including blanks and quotes; an empty line is an empty argument."}
        </p>
        {problem && <p class="trouble" role="alert">{problem}</p>}
        {words.length > 0 && (
          <p class="words" aria-label="The words of the command">
            {words.map((word, index) => <code key={index}>{word === "" ? " " : word}</code>)}
          </p>
        )}
        {hint && <p class="hint warning">{hint}</p>}
        <div class="fields">{PROCESS.map(field)}</div>
        <div class="fields">
          <label>
            Environment, one NAME=VALUE a line
            <textarea name="env" class="code" rows={3} spellcheck={false} />
          </label>
          <label>
            Labels, one KEY=VALUE a line
            <textarea name="labels" class="code" rows={3} spellcheck={false} />
          </label>
          <label>
            Standard input
            <textarea name="stdin" class="code" rows={3} spellcheck={false} />
          </label>
        </div>
        <details>
          <summary>Limits, end and isolation</summary>
          <div class="fields">{LIMITS.map(field)}</div>
          <div class="switches">
            {SWITCHES.map((name) => (
              <label key={name}>
                <input type="checkbox" name={name} />
                {SWITCH_LABELS[name]}
              </label>
            ))}
          </div>
        </details>
        {error && <p class="trouble" role="alert">{error}</p>}
        <div class="buttons">
          <a class="button" href={linkTo({ view: "jobs" })}>Cancel</a>
          <button
            type="submit"
            class="primary"
            disabled={isStarting || words.length === 0 || words[0] === ""}
          >
            {isStarting ? "Starting…" : "Start"}
          </button>
        </div>
      </form>
    </main>
  );
}
