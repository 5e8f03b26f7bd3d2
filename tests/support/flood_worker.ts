/**
 * A client that makes many calls at once and then goes away, in a thread of its own: what it costs
 * must not delay the caller whose latency the test measures.
 */
import type { ServiceError } from "@grpc/grpc-js";
import type { ListRequest, StreamRequest } from "../../proto/contract.ts";
import { type Identity, TestClient } from "./client.ts";

/** What is called, and with what. */
export type FloodCall =
  | { readonly method: "Query" | "Signal"; readonly jobID: string; readonly signal?: string }
  | { readonly method: "List"; readonly request: ListRequest }
  | { readonly method: "Stream"; readonly request: StreamRequest };

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
  postMessage(message: "begun" | FloodResult): void;
  close(): void;
}

const port = globalThis as unknown as Port;

/** @returns What gives the call up. */
type Cancel = () => void;

function begin(
  { raw }: TestClient,
  call: FloodCall,
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

function flood({ address, identity, call, count }: FloodOptions): void {
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
    if (data !== "end") flood(data);
  };
}
