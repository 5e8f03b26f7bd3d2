/** Breaks the input that is sent to jobs while they run. */
import type { Mutation } from "./mutation.ts";

export const MUTATIONS: readonly Mutation[] = [
  {
    name: "the segment that is being written is taken for one that was fed",
    file: "lib/input/ledger.ts",
    from: "this.#entries.length > 1 ? this.#entries[0]?.begin : undefined",
    to: "this.#entries[0]?.begin",
    tests: ["input_ledger"],
  },
  {
    name: "any number of small writes goes to one segment, and the bell fills up",
    file: "lib/input/ledger.ts",
    from: "bytes < SEGMENT_BYTES && writes < MAX_SEGMENT_WRITES",
    to: "bytes < SEGMENT_BYTES",
    tests: ["input_ledger"],
  },
  {
    name: "a sender may send as much as it likes",
    file: "lib/grpc/input_queue.ts",
    from: "offset + data.length > allowedBytes",
    to: "data.length > allowedBytes",
    tests: ["input_queue"],
  },
  {
    name: "input with a hole in it is taken",
    file: "lib/grpc/input_queue.ts",
    from: "offset !== this.#offset",
    to: "offset < this.#offset",
    tests: ["input_queue"],
  },
  {
    name: "somebody else goes on in a sender's place",
    file: "lib/job/inputs.ts",
    from: "turn.options.caller === caller && ",
    to: "",
    tests: ["job_inputs"],
  },
  {
    name: "every call of a sender rings, and the bell fills up",
    file: "lib/job/inputs.ts",
    from: "const rings = isActive && !this.#rung.has(id);",
    to: "const rings = isActive;",
    tests: ["job_inputs"],
  },
  {
    name: "what a job has not read stays on the disk",
    file: "lib/job/endings.ts",
    from: "    await closeInput(job.record);\n",
    to: "",
    tests: ["job_inputs"],
  },
  {
    name: "a message of any length is read",
    file: "lib/grpc/message_bounds.ts",
    from: "leftBytes > MAX_MESSAGE_BYTES",
    to: "leftBytes > 2 ** 32",
    tests: ["message_bounds"],
  },
  {
    name: "the client forgets what it has not sent",
    file: "client/jobs/input_buffer.ts",
    from: "Math.min(heldBytes, this.#offset) - this.#begin",
    to: "heldBytes - this.#begin",
    tests: ["input_buffer"],
  },
  {
    name: "input is sent to a job that had some of somebody else's",
    file: "client/jobs/send_input.ts",
    from: "if (heldBytes > 0 && !appends) {",
    to: "if (heldBytes > 0 && appends) {",
    tests: ["client_send_input"],
  },
  {
    name: "a server that does not know of input is sent a start that needs it",
    file: "client/jobs/start.ts",
    from: "  if (openStdin) return;\n",
    to: "  return;\n",
    tests: ["client_jobs"],
  },
  {
    name: "a rule that fixes how a command runs lets its input be sent later",
    file: "lib/access/rules.ts",
    from: " || settings.openStdin === true",
    to: "",
    tests: ["access_rules"],
  },
];
