/**
 * A client that makes many calls at once and then goes away, in a thread of its own: what it costs
 * must not delay the caller whose latency the test measures.
 */
import type { ServiceError } from "@grpc/grpc-js";
import type { ListRequest, StreamRequest } from "../../proto/contract.ts";
import { type Identity, TestClient } from "./client.ts";
import { HalfSender, type HalfSent } from "./half_sent.ts";

/** What is called, and with what. */
export type FloodCall =
  | { readonly method: "Query" | "Signal"; readonly jobID: string; readonly signal?: string }
  | { readonly method: "List"; readonly request: ListRequest }
  | { readonly method: "Stream"; readonly request: StreamRequest }
  | HalfSent;

/** What a flood is told at its beginning. */
export interface FloodOptions {
  readonly address: string;
  readonly identity: Identity;
  readonly call: FloodCall;
  /** How many calls are made at once. */
  readonly count: number;
}

/** What a flood tells when its calls are over or given up. */
export interface FloodResult {
  readonly answered: number;
  readonly failed: number;
  /** The details of the first call that failed for another reason than being given up. */
  readonly failure: string | undefined;
}

interface Port {
  onmessage: ((event: MessageEvent<FloodOptions | "end">) => void) | null;
  postMessage(message: "begun" | "refused" | FloodResult): void;
  close(): void;
}

const port = globalThis as unknown as Port;

/** @returns What gives the call up. */
type Cancel = () => void;

function begin(
  { raw }: TestClient,
  call: Exclude<FloodCall, HalfSent>,
  end: (error?: ServiceError | null) => void,
): Cancel {
  if (call.method === "Stream") {
    const stream = raw.Stream(call.request);
    stream.on("error", end);
    stream.on("end", () => end());
    stream.resume();
    return () => stream.cancel();
  }
  const unary = call.method === "List"
    ? raw.List(call.request, end)
    : call.method === "Query"
    ? raw.Query({ jobID: call.jobID }, end)
    : raw.Signal({ jobID: call.jobID, signal: call.signal ?? "" }, end);
  return () => unary.cancel();
}

/** On one connection the server takes some megabytes a second: its window is small. */
const CONNECTIONS = 30;

/** Sends requests that never end, until it is to stop; what the server ends has failed. */
async function sendHalves(
  { address, identity, count }: FloodOptions,
  request: HalfSent,
): Promise<void> {
  const senders = await Promise.all(
    Array.from(
      { length: CONNECTIONS },
      () => HalfSender.open(address, identity, request, () => port.postMessage("refused")),
    ),
  );
  port.onmessage = () => {
    port.onmessage = null;
    for (const sender of senders) sender[Symbol.dispose]();
    const failed = senders.reduce((total, { ended }) => total + ended, 0);
    port.postMessage({ answered: 0, failed, failure: undefined });
    port.close();
  };
  port.postMessage("begun");
  await Promise.all(senders.map((sender) => sender.send(count / CONNECTIONS, address)));
}

function flood(
  { address, identity, call, count }: FloodOptions & { call: Exclude<FloodCall, HalfSent> },
): void {
  const client = new TestClient(address, identity);
  let answered = 0;
  let failed = 0;
  let failure: string | undefined;
  let isGone = false;
  const tell = () => {
    port.onmessage = null;
    client.raw.close();
    port.postMessage({ answered, failed, failure });
    port.close();
  };
  const ended = (error?: ServiceError | null) => {
    if (isGone) return;
    if (error) failed++;
    else answered++;
    if (error) failure ??= error.details;
    if (answered + failed === count) tell();
  };
  client.raw.waitForReady(Date.now() + 30_000, (error) => {
    if (error) throw error;
    const cancels = Array.from({ length: count }, () => begin(client, call, ended));
    port.onmessage = () => {
      isGone = true;
      for (const cancel of cancels) cancel();
      tell();
    };
    port.postMessage("begun");
  });
}

// Other modules import the types of this one, and run nothing.
if ("WorkerGlobalScope" in globalThis) {
  port.onmessage = ({ data }) => {
    if (data === "end") return;
    if (data.call.method === "half-sent") void sendHalves(data, data.call);
    else flood({ ...data, call: data.call });
  };
}
