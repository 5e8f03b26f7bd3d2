/** Calls that have one answer. */
import { type CallStatus, GrpcStatus, messageOf } from "../errors.ts";
import { Call, type CallTransport, type Method } from "./call.ts";

/** How a question is asked. */
export interface AskOptions {
  /** How long it may take, in milliseconds. */
  readonly timeoutMs?: number | undefined;
  /** Cancels it. */
  readonly signal?: AbortSignal | undefined;
  /** The longest answer that is accepted, in bytes. */
  readonly maxMessageBytes: number;
}

/**
 * Asks the server.
 *
 * @returns Its answer.
 * @throws {CallStatus} Every other end, also where the request is no message.
 */
export function ask<Request, Answer>(
  transport: CallTransport | Promise<CallTransport>,
  { path, requestSerialize, responseDeserialize }: Method<Request, Answer>,
  request: Request,
  { timeoutMs, signal, maxMessageBytes }: AskOptions,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let message: Uint8Array;
    try {
      message = requestSerialize(request);
    } catch (error) {
      return reject(internal(`Request message serialization failure: ${messageOf(error)}`));
    }
    let answer: { readonly value: Answer } | undefined;
    let cancel = () => {};
    const end = (status: CallStatus) => {
      signal?.removeEventListener("abort", cancel);
      if (status.code !== GrpcStatus.ok) reject(status);
      else if (answer === undefined) reject(internal("No message received"));
      else resolve(answer.value);
    };
    const call = new Call(transport, {
      path,
      timeoutMs,
      maxMessageBytes,
      listener: {
        onMessage: (bytes) => {
          // A server that does not stop would keep this side busy for as long as the call may take.
          if (answer !== undefined) throw new Error("there is more than one");
          answer = { value: responseDeserialize(bytes) };
        },
        onEnd: end,
      },
    });
    cancel = () => call.cancel();
    if (signal?.aborted) return cancel();
    signal?.addEventListener("abort", cancel);
    call.send(message);
    call.endSending();
  });
}

function internal(details: string): CallStatus {
  return { code: GrpcStatus.internal, details };
}
