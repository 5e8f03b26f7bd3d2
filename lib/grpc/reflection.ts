/**
 * Server reflection (grpc.reflection.v1 and v1alpha), by which tools such as grpcurl learn the
 * contract: the official implementation answers, on descriptors that were made at build time.
 */
import type { Server, ServerDuplexStream } from "@grpc/grpc-js";
import type { ReflectionV1Implementation } from "@grpc/reflection/build/src/implementations/reflection-v1.js";
import { Buffer } from "node:buffer";
import { constants, type ServerHttp2Stream } from "node:http2";
import { contractFiles } from "../../proto/contract.ts";
import type { RuleFile } from "../access/rule_file.ts";
import { contextOf, rulesFor } from "./call_context.ts";
import {
  interruptionOf,
  isInterrupted,
  onInterruption,
  type Shutdown,
  toStatus,
} from "./endings.ts";
import { http2StreamOf } from "./internals.ts";
import { definitionOf, LoadedService } from "./late_service.ts";
import { StreamPace } from "./pacing.ts";

const METHOD = "ServerReflectionInfo";

/**
 * The size of all questions of one call: hundreds of them, where a tool asks a dozen. This is the
 * only method to which a client sends a stream, and the runtime buffers what arrives, read or not.
 */
const MAX_QUESTION_BYTES = 16 * 1024;

type Questions = ReflectionV1Implementation["handleServerReflectionRequest"];
type Question = Parameters<Questions>[0];
type Answer = ReturnType<Questions>;

/** A call whose messages are bytes. */
type ReflectionCall = ServerDuplexStream<Buffer, Buffer | undefined>;

/** What answers, when it has been loaded. */
interface Loaded {
  readonly implementation: ReflectionV1Implementation;
  readonly service: LoadedService<unknown>;
}

/** The versions of the service, which differ in nothing but their names. */
const VERSIONS = {
  "grpc.reflection.v1.ServerReflection": async () =>
    (await import("@grpc/reflection/build/src/implementations/reflection-v1.js"))
      .ReflectionV1Implementation,
  "grpc.reflection.v1alpha.ServerReflection": async () =>
    (await import("@grpc/reflection/build/src/implementations/reflection-v1alpha.js"))
      .ReflectionV1AlphaImplementation,
};

/** Answers which services, messages and fields there are. */
export class ReflectionService {
  readonly #rules: Pick<RuleFile, "current">;
  readonly #shutdown: AbortSignal;

  /** @param rules The rules that narrow the roles. */
  constructor(rules: Pick<RuleFile, "current">, { begun }: Pick<Shutdown, "begun">) {
    this.#rules = rules;
    this.#shutdown = begun;
  }

  /** Adds both versions of the service to a server that does not take calls yet. */
  addTo(server: Pick<Server, "addService">): void {
    for (const [name, loadVersion] of Object.entries(VERSIONS)) {
      let loading: Promise<Loaded> | undefined;
      const load = () => loading ??= loadVersion().then(makeImplementation);
      server.addService(
        definitionOf(name, { [METHOD]: { requestStream: true, responseStream: true } }),
        { [METHOD]: (call: ReflectionCall) => this.#answer(call, load) },
      );
    }
  }

  /** Answers question by question, at the pace at which the answers are taken. */
  async #answer(call: ReflectionCall, load: () => Promise<Loaded>): Promise<void> {
    const context = contextOf(call);
    const interruptions = { shutdown: this.#shutdown, access: context.access };
    const ended = new AbortController();
    const end = () => ended.abort();
    call.on("cancelled", end);
    call.on("close", end);
    const interrupt = () => {
      end();
      call.emit("error", toStatus(interruptionOf(interruptions)));
    };
    using _interruption = onInterruption(interruptions, interrupt);
    boundQuestions(http2StreamOf(call));
    try {
      const { implementation, service } = await load();
      await rulesFor(context, this.#rules);
      if (isInterrupted(interruptions)) return interrupt();
      using pace = new StreamPace(http2StreamOf(call));
      // An iterator that ends would destroy the call, with answers that have not been sent yet.
      for await (const question of call.iterator({ destroyOnReturn: false })) {
        if (ended.signal.aborted) return;
        const answer = answerTo(service.read(METHOD, question as Buffer), implementation);
        call.write(service.write(METHOD, answer));
        await pace.ready(ended.signal);
      }
      if (!ended.signal.aborted) call.end();
    } catch (error) {
      // The questions of a cancelled call end with an error, which needs no answer.
      if (!ended.signal.aborted) call.emit("error", toStatus(error));
    }
  }
}

function makeImplementation(Implementation: typeof ReflectionV1Implementation): Loaded {
  const implementation = new Implementation({
    all: {
      format: "Protocol Buffer 3 DescriptorProto",
      type: {},
      fileDescriptorProtos: contractFiles().map((file) => Buffer.from(file)),
    },
  });
  return { implementation, service: new LoadedService(implementation) };
}

/**
 * Ends a call on which too much is asked, by an HTTP/2 error code: a status would have to wait
 * until the caller has read the answers. Clients of gRPC report the code as RESOURCE_EXHAUSTED.
 */
function boundQuestions(stream: ServerHttp2Stream): void {
  let bytes = 0;
  stream.prependListener("data", (chunk: Uint8Array) => {
    bytes += chunk.length;
    if (bytes > MAX_QUESTION_BYTES) stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  });
}

/** The implementation puts a dot before names without a package; clients send them without one. */
function answerTo(question: Question, implementation: ReflectionV1Implementation): Answer {
  const symbol = question.fileContainingSymbol;
  const answer = implementation.handleServerReflectionRequest(question);
  if (answer.errorResponse && symbol) {
    const dotted = { ...question, fileContainingSymbol: `.${symbol}` };
    const { fileDescriptorResponse } = implementation.handleServerReflectionRequest(dotted);
    if (fileDescriptorResponse) {
      const { errorResponse: _none, ...rest } = answer;
      return { ...rest, fileDescriptorResponse };
    }
  }
  const services = answer.listServicesResponse?.service;
  if (!services) return answer;
  return {
    ...answer,
    listServicesResponse: {
      service: services.map(({ name = "" }) => ({ name: name.replace(/^\./, "") })),
    },
  };
}
