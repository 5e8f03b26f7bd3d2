import {
  type ChannelOptions,
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  connectivityState,
  credentials,
  Metadata,
  type MethodDefinition,
} from "@grpc/grpc-js";
import { isIP } from "node:net";
import {
  type Event__Output,
  type EventsRequest,
  type InputRequest,
  type InputResponse__Output,
  jobService,
  type JobServiceDefinition,
  type StreamRequest,
  type StreamResponse__Output,
} from "../../proto/contract.ts";
import { diagnose } from "./diagnosis.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import { fromServiceError } from "../errors.ts";
import { tlsOptions } from "./tls_options.ts";

/** The unary methods. */
export type UnaryMethod =
  | "Start"
  | "Stop"
  | "Signal"
  | "Update"
  | "Query"
  | "List"
  | "Info"
  | "Wait"
  | "Remove";

/** What a method takes. */
export type RequestOf<Method extends UnaryMethod> = Parameters<
  JobServiceDefinition[Method]["requestSerialize"]
>[0];

/** What a method answers. */
export type ResponseOf<Method extends UnaryMethod> = ReturnType<
  JobServiceDefinition[Method]["responseDeserialize"]
>;

/** How long a handshake may take; then the reason is diagnosed. */
const CONNECT_TIMEOUT_MS = 7_000;

/** With the default of 64 KiB a stream is about half as fast. */
const FLOW_CONTROL_WINDOW_BYTES = 8 * 1024 * 1024;

/** The server sends far smaller messages; another peer must not be able to fill the memory. */
export const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;

/** One connection to the server, ready for calls. */
export class Connection implements Disposable {
  readonly #client: Client;
  readonly #certificate: () => Uint8Array | undefined;
  /** The server, and the identity that is used. */
  readonly endpoint: Endpoint;

  private constructor({ client, certificate }: ClientParts, endpoint: Endpoint) {
    this.#client = client;
    this.#certificate = certificate;
    this.endpoint = endpoint;
  }

  /**
   * Dials the server.
   *
   * @throws {ConnectionFailure} It cannot be reached, or one side does not trust the other.
   */
  static async open(endpoint: Endpoint): Promise<Connection> {
    const parts = createClient(endpoint);
    if (await becomesReady(parts.client)) return new Connection(parts, endpoint);
    parts.client.close();
    throw await diagnose(endpoint);
  }

  /**
   * Calls a method.
   *
   * @param method The method.
   * @param request What it takes.
   * @param options How long to wait for the answer, and a signal that cancels the call.
   * @throws {ClientError} As `fromServiceError` says.
   */
  call<Method extends UnaryMethod>(
    method: Method,
    request: RequestOf<Method>,
    { timeoutMs, signal }: { timeoutMs?: number | undefined; signal?: AbortSignal | undefined } =
      {},
  ): Promise<ResponseOf<Method>> {
    // The compiler cannot follow that the method's name decides on both types at once.
    const definition = jobService[method] as unknown as MethodDefinition<
      RequestOf<Method>,
      ResponseOf<Method>
    >;
    return new Promise((resolve, reject) => {
      const call = this.#client.makeUnaryRequest<RequestOf<Method>, ResponseOf<Method>>(
        definition.path,
        definition.requestSerialize,
        definition.responseDeserialize,
        request,
        new Metadata(),
        timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs },
        (error, response) => {
          signal?.removeEventListener("abort", cancel);
          if (error) reject(fromServiceError(error, { server: this.server, method }));
          else resolve(response as ResponseOf<Method>);
        },
      );
      const cancel = () => call.cancel();
      if (signal?.aborted) cancel();
      else signal?.addEventListener("abort", cancel);
    });
  }

  /** Opens a stream of a job's output; the caller ends it. */
  stream(request: StreamRequest): ClientReadableStream<StreamResponse__Output> {
    const { path, requestSerialize, responseDeserialize } = jobService.Stream;
    return this.#client.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
    );
  }

  /** Opens a stream of events; the caller ends it. */
  events(request: EventsRequest): ClientReadableStream<Event__Output> {
    const { path, requestSerialize, responseDeserialize } = jobService.Events;
    return this.#client.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
    );
  }

  /** Opens a call that sends a job its input; the caller ends it. */
  input(): ClientDuplexStream<InputRequest, InputResponse__Output> {
    const { path, requestSerialize, responseDeserialize } = jobService.Input;
    return this.#client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
  }

  /** `HOST:PORT`, for messages. */
  get server(): string {
    return this.endpoint.address.text;
  }

  /** The server's certificate, which was verified; DER. */
  get serverCertificate(): Uint8Array | undefined {
    return this.#certificate();
  }

  /** Closes the connection and cancels the calls on it. */
  [Symbol.dispose](): void {
    this.#client.close();
  }
}

interface ClientParts {
  readonly client: Client;
  /** The last certificate that was verified. */
  readonly certificate: () => Uint8Array | undefined;
}

function createClient(endpoint: Endpoint): ClientParts {
  const { secureContext, servername, checkServerIdentity } = tlsOptions(endpoint);
  let certificate: Uint8Array | undefined;
  const { host, port } = endpoint.address;
  const isAddress = isIP(host) !== 0;
  // No keepalive options: on this runtime each ping fails and ends a healthy connection.
  const options: ChannelOptions = {
    "grpc.enable_http_proxy": 0,
    "grpc.enable_retries": 0,
    "grpc.service_config_disable_resolution": 1,
    "grpc.use_local_subchannel_pool": 1,
    "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
    "grpc-node.flow_control_window": FLOW_CONTROL_WINDOW_BYTES,
    ...(isAddress && { "grpc.ssl_target_name_override": servername }),
  };
  const scheme = { 0: "dns", 4: "ipv4", 6: "ipv6" }[isIP(host)] ?? "dns";
  const client = new Client(
    `${scheme}:${isIP(host) === 6 ? `[${host}]` : host}:${port}`,
    credentials.createFromSecureContext(secureContext, {
      checkServerIdentity: (name, peer) => {
        const problem = checkServerIdentity(name, peer);
        if (problem === undefined) certificate = peer.raw;
        return problem;
      },
    }),
    options,
  );
  return { client, certificate: () => certificate };
}

/** Waits until the handshake has succeeded (true), or has failed or taken too long (false). */
function becomesReady(client: Client): Promise<boolean> {
  const channel = client.getChannel();
  const deadline = Date.now() + CONNECT_TIMEOUT_MS;
  return new Promise((resolve) => {
    const look = () => {
      const state = channel.getConnectivityState(true);
      if (state === connectivityState.READY) return resolve(true);
      if (state === connectivityState.TRANSIENT_FAILURE) return resolve(false);
      channel.watchConnectivityState(state, deadline, (error) => {
        if (error) resolve(false);
        else look();
      });
    };
    look();
  });
}
