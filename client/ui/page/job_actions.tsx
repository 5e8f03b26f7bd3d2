/** The actions on a job. */
import { useState } from "preact/hooks";
import { SIGNALS } from "../../../common/signals.ts";
import { Confirm } from "./dialog.tsx";
import { nameOf } from "./facts.ts";
import { type Job, requests } from "./requests.ts";
import { linkTo } from "./route.ts";

interface JobActionsProps {
  readonly job: Job;
  /** The link back to the table. */
  readonly table: string;
  /** Called after an action. */
  readonly onDone: () => void;
}

/** The action that has to be confirmed. */
type Question = "stop" | "remove" | undefined;

/** Stop and signal for a job that runs, remove for one that has ended; each can be started again. */
export function JobActions({ job, table, onDone }: JobActionsProps) {
  const [question, setQuestion] = useState<Question>();
  const [grace, setGrace] = useState("");
  const [signal, setSignal] = useState("HUP");
  const [isBusy, setIsBusy] = useState(false);
  const [error, setError] = useState<string>();
  const act = async (action: () => Promise<unknown>) => {
    setQuestion(undefined);
    setError(undefined);
    setIsBusy(true);
    try {
      await action();
      onDone();
    } catch (thrown) {
      setError(thrown instanceof Error ? thrown.message : String(thrown));
    } finally {
      setIsBusy(false);
    }
  };
  const close = () => setQuestion(undefined);
  const name = nameOf(job);
  const remove = async () => {
    await requests.remove(job.jobID);
    location.hash = table;
  };
  return (
    <div class="actions">
      <a class="button" href={linkTo({ view: "start", again: job.jobID })}>Start again…</a>
      {job.exited
        ? (
          <button type="button" disabled={isBusy} onClick={() => setQuestion("remove")}>
            Remove…
          </button>
        )
        : (
          <>
            {job.state !== "JOB_STATE_PENDING" && (
              <span class="signal">
                <select
                  aria-label="Signal"
                  value={signal}
                  onChange={(event) => setSignal(event.currentTarget.value)}
                >
                  {SIGNALS.map((name) => <option key={name}>{name}</option>)}
                </select>
                <button
                  type="button"
                  disabled={isBusy}
                  onClick={() => act(() => requests.signal(job.jobID, signal))}
                >
                  Send
                </button>
              </span>
            )}
            <button
              type="button"
              class="danger"
              disabled={isBusy}
              onClick={() => setQuestion("stop")}
            >
              {isBusy ? "Working…" : "Stop…"}
            </button>
          </>
        )}
      {error && <p class="trouble" role="alert">{error}</p>}
      {question === "stop" && (
        <Confirm
          title={`Stop ${name}?`}
          action="Stop"
          onClose={close}
          onConfirm={() => act(() => requests.stop(job.jobID, grace))}
        >
          <p>
            {job.state === "JOB_STATE_PENDING"
              ? "It leaves the queue, and never runs."
              : "All its processes get the stop signal, and are killed after the grace period."}
          </p>
          <label>
            Grace period
            <input
              value={grace}
              placeholder="the job's own; 0 kills at once"
              onInput={(event) => setGrace(event.currentTarget.value)}
            />
          </label>
        </Confirm>
      )}
      {question === "remove" && (
        <Confirm
          title={`Remove ${name}?`}
          action="Remove"
          onClose={close}
          onConfirm={() => act(remove)}
        >
          <p>The job and its output are deleted.</p>
        </Confirm>
      )}
    </div>
  );
}
