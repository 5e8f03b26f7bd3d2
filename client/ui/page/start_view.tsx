/** The form that starts a job. */
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { isClusterTold, isTold } from "../../jobs/settings_of.ts";
import { EMPTY_FORM, formLike, type Prefill } from "./again.ts";
import { type About, SWITCHES, TEXT_FIELDS } from "../protocol.ts";
import { nameOf } from "./facts.ts";
import { fieldsIn, isTaken, type Place, SWITCH_LABELS } from "./form_fields.ts";
import { usePoll } from "./poll.ts";
import { type Job, RequestError, requests } from "./requests.ts";
import { linkTo, NO_FILTER } from "./route.ts";
import { useTitle } from "./title.ts";
import { QuoteError, shellHint, splitLines, splitWords } from "./words.ts";

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

interface StartViewProps {
  readonly about: About | undefined;
  /** The job that is to be started again. */
  readonly again: string | undefined;
}

/** The form, empty or for a job like another one. */
export function StartView({ about, again }: StartViewProps) {
  const ask = useCallback(async () => again === undefined ? null : await requests.job(again), [
    again,
  ]);
  const { answer, error } = usePoll(ask, 0);
  useTitle("Start a job", about?.server);
  if (about && !about.roles.includes("writer")) {
    return (
      <main>
        <p class="trouble">
          You are {about.userName}, {about.roles.join(" and ")}{" "}
          on this server: only a writer may start jobs.
        </p>
      </main>
    );
  }
  if (again === undefined) return <StartForm about={about} />;
  if (error) {
    return (
      <main>
        <p class="trouble" role="alert">{error.message}</p>
      </main>
    );
  }
  // Without the name of the server's own user each job seems to have one of its own.
  return answer && about ? <StartForm about={about} like={answer.job} /> : (
    <main>
      <p class="empty">Loading…</p>
    </main>
  );
}

interface StartFormProps {
  readonly about: About | undefined;
  readonly like?: Job;
}

/** A job's command and its settings. */
function StartForm({ about, like }: StartFormProps) {
  const first: Prefill = useMemo(
    () => like === undefined ? EMPTY_FORM : formLike(like, about?.jobUser),
    [like],
  );
  const [mode, setMode] = useState<Mode>("words");
  const [command, setCommand] = useState(first.command);
  const [error, setError] = useState<string>();
  const [isStarting, setIsStarting] = useState(false);
  // While the outcome of a start is unknown, another try must not run the job twice.
  const key = useRef(crypto.randomUUID());
  const line = useRef<HTMLTextAreaElement>(null);
  useEffect(() => line.current?.focus(), []);
  const { words, problem } = useMemo(
    // As they are, until they are changed: a browser's field has no carriage returns.
    () =>
      command === first.command && mode === "words"
        ? { words: first.words, problem: undefined }
        : readCommand(command, mode),
    [command, mode],
  );
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
  const server = { engine: about?.engine ?? "", jobsWait: about?.jobsWait ?? false };
  const fieldsAt = (place: Place) => fieldsIn(place).filter(({ name }) => isTaken(name, server));
  const isFilled = (place: Place) => fieldsAt(place).some(({ name }) => first.texts[name]);
  const fields = (place: Place) => (
    <div class="fields">
      {fieldsAt(place).map(({ name, label, placeholder }) => (
        <label key={name}>
          {label}
          {place === "texts"
            ? (
              <textarea
                name={name}
                class="code"
                rows={3}
                spellcheck={false}
                defaultValue={first.texts[name]}
              />
            )
            : (
              <input
                name={name}
                defaultValue={first.texts[name]}
                placeholder={name === "user" ? about?.jobUser ?? "" : placeholder}
                list={name === "partition" ? "partitions" : name === "queue" ? "queues" : undefined}
                autocomplete="off"
                spellcheck={false}
              />
            )}
        </label>
      ))}
    </div>
  );
  const hint = shellHint(words);
  return (
    <main>
      <form class="start" onSubmit={start}>
        <h1>{like === undefined ? "Start a job" : `Start ${nameOf(like)} again`}</h1>
        {like && !isTold(like) && (
          <p class="hint warning">
            This server does not tell grace period, stop signal, file mode mask and whether there
            were variables or standard input: if the job needs any, enter them again.
          </p>
        )}
        {like?.hasSecrets && (
          <p class="hint warning">
            The job was given variables or standard input, which the server does not keep: enter
            them again.
          </p>
        )}
        {like?.openStdin && (
          <p class="hint warning">
            The job was sent its input while it ran, which the server does not keep: enter it again
            as standard input, or use "worker-client run -i".
          </p>
        )}
        {like && !isClusterTold(like, server.engine) && (
          <p class="hint warning">
            This server does not tell what the job asked the cluster for besides its partition, such
            as cores and GPUs: enter that again.
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
        {fields("process")}
        {fields("texts")}
        {fieldsAt("waiting").length > 0 && (
          <details open={isFilled("waiting")}>
            <summary>When it runs</summary>
            {fields("waiting")}
            <datalist id="queues">
              {about?.queues.map((queue) => <option key={queue} value={queue} />)}
            </datalist>
          </details>
        )}
        {fieldsAt("cluster").length > 0 && (
          <details open={isFilled("cluster")}>
            <summary>Place on the cluster ({about?.engine})</summary>
            {fields("cluster")}
            <datalist id="partitions">
              {about?.partitions.map((partition) => <option key={partition} value={partition} />)}
            </datalist>
          </details>
        )}
        <details open={isFilled("limits") || hasSwitch(first)}>
          <summary>Limits, end and isolation</summary>
          {fields("limits")}
          <div class="switches">
            {SWITCHES.map((name) => (
              <label key={name}>
                <input type="checkbox" name={name} defaultChecked={first.switches[name]} />
                {SWITCH_LABELS[name]}
              </label>
            ))}
          </div>
        </details>
        {error && <p class="trouble" role="alert">{error}</p>}
        <div class="buttons">
          <a
            class="button"
            href={like
              ? linkTo({ view: "job", jobID: like.jobID })
              : linkTo({ view: "jobs", filter: NO_FILTER })}
          >
            Cancel
          </a>
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

function hasSwitch({ switches }: Prefill): boolean {
  return SWITCHES.some((name) => switches[name]);
}
