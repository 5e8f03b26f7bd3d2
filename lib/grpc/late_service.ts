/**
 * Services whose library is loaded at their first call: those for health and reflection load all of
 * protobufjs, which took a quarter of the server's start. Until then their messages are bytes.
 */
import type { MethodDefinition, Server, ServiceDefinition } from "@grpc/grpc-js";
import type { Buffer } from "node:buffer";
import { JobError, messageOf } from "../errors.ts";

/** Whether a method's requests, and its responses, are streams. */
export type MethodKind = Pick<
  MethodDefinition<unknown, unknown>,
  "requestStream" | "responseStream"
>;

/** A method with one request and one response. */
export const UNARY: MethodKind = { requestStream: false, responseStream: false };

const same = (bytes: Buffer): Buffer => bytes;

/** A service's definition as grpc-js takes it, with bytes for messages. */
export function definitionOf(
  service: string,
  kinds: Readonly<Record<string, MethodKind>>,
): ServiceDefinition {
  const methods = Object.entries(kinds).map(([name, kind]) => [name, {
    path: `/${service}/${name}`,
    ...kind,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  }]);
  return Object.fromEntries(methods) as ServiceDefinition;
}

/** What a library would add to a server. */
export class LoadedService<Methods> {
  readonly methods: Methods;
  readonly #definition: ServiceDefinition;

  /** @param library Is asked for its one service. */
  constructor(library: { addToServer(server: Pick<Server, "addService">): void }) {
    const added: Parameters<Server["addService"]>[] = [];
    library.addToServer({ addService: (...service) => void added.push(service) });
    const [service] = added;
    if (service === undefined) throw new Error("the library has added no service");
    this.#definition = service[0];
    this.methods = service[1] as Methods;
  }

  /**
   * Reads a request.
   *
   * @throws {JobError} It is not a message of the method.
   */
  read<Request>(method: string, bytes: Buffer): Request {
    try {
      return this.#definition[method]?.requestDeserialize(bytes);
    } catch (error) {
      throw new JobError("invalid", `Cannot read the request: ${messageOf(error)}`);
    }
  }

  /** The bytes of a response. */
  write(method: string, response: unknown): Buffer | undefined {
    return this.#definition[method]?.responseSerialize(response);
  }
}
