/**
 * The health service of gRPC (grpc.health.v1), which load balancers and probes call: the official
 * implementation, authorized as every other method is.
 */
import {
  type handleUnaryCall,
  type Server,
  type ServerErrorResponse,
  type ServerWritableStream,
} from "@grpc/grpc-js";
import type { HealthImplementation, ServingStatus } from "grpc-health-check";
import type { Buffer } from "node:buffer";
import type { RuleFile } from "../access/rule_file.ts";
import { contextOf, rulesFor } from "./call_context.ts";
import {
  interruptionOf,
  isInterrupted,
  onInterruption,
  type Shutdown,
  toStatus,
} from "./endings.ts";
import { definitionOf, LoadedService, UNARY } from "./late_service.ts";

const DEFINITION = definitionOf("grpc.health.v1.Health", {
  Check: UNARY,
  List: UNARY,
  Watch: { requestStream: false, responseStream: true },
});

/** Services whose health is known; the empty name is the server as a whole. */
const SERVICES = ["", "JobService"] as const;

/** An unknown service is named in the answer; a client may ask for a name of any length. */
const MAX_NAME_CHARACTERS = 100;

/**
 * Watched in the place of every unknown service: the implementation keeps each name that was
 * watched for as long as the server runs.
 */
const UNKNOWN_SERVICE = "unknown service";

interface Request {
  readonly service: string;
}

interface Response {
  readonly status: ServingStatus | "SERVICE_UNKNOWN";
}

type Respond = (error: ServerErrorResponse | null, response?: object) => void;

/** What the implementation uses of a call of Watch. */
interface Watcher {
  readonly request: Request;
  write(response: Response): void;
  /** @param forget Called when the watching ends. */
  on(event: "cancelled", forget: () => void): void;
}

/** The methods as the implementation hands them over. */
interface Methods {
  check(call: { readonly request: Request }, respond: Respond): void;
  list(call: object, respond: Respond): void;
  watch(watcher: Watcher): void;
}

type Service = LoadedService<Methods>;

/** A call whose messages are bytes. */
type WatchCall = ServerWritableStream<Buffer, Buffer | undefined>;

/**
 * Answers whether the server takes calls: SERVING until its shutdown begins, except while it accepts
 * no connections.
 */
export class HealthService {
  readonly #rules: Pick<RuleFile, "current">;
  readonly #shutdown: AbortSignal;
  #state: ServingStatus = "SERVING";
  #health: HealthImplementation | undefined;
  #loading: Promise<Service> | undefined;

  /**
   * @param rules The rules that narrow the roles.
   * @param shutdown Made before any call listens to it.
   */
  constructor(rules: Pick<RuleFile, "current">, { begun }: Pick<Shutdown, "begun">) {
    this.#rules = rules;
    this.#shutdown = begun;
    // This listener comes before those of the watchers, which end them: they see the change first.
    begun.addEventListener("abort", () => {
      this.setServing(false);
    });
  }

  /** Tells whoever asks and whoever watches; a shutdown that has begun is not taken back. */
  setServing(isServing: boolean): void {
    this.#state = isServing && !this.#shutdown.aborted ? "SERVING" : "NOT_SERVING";
    for (const name of SERVICES) this.#health?.setStatus(name, this.#state);
  }

  /** Adds the service to a server that does not take calls yet. */
  addTo(server: Pick<Server, "addService">): void {
    server.addService(DEFINITION, {
      Check: this.#unary("Check", (service, bytes, respond) => {
        const request = service.read<Request>("Check", bytes);
        const name = request.service.slice(0, MAX_NAME_CHARACTERS);
        service.methods.check({ request: { service: name } }, respond);
      }),
      List: this.#unary("List", ({ methods }, _bytes, respond) => methods.list({}, respond)),
      Watch: (call: WatchCall) => {
        this.#serviceFor(call).then((service) => this.#watch(call, service)).catch(
          (error: unknown) => call.emit("error", toStatus(error)),
        );
      },
    });
  }

  /** The library. The rules are read after it has been loaded, right before the answer. */
  async #serviceFor(call: unknown): Promise<Service> {
    const service = await (this.#loading ??= this.#load());
    await rulesFor(contextOf(call), this.#rules);
    return service;
  }

  async #load(): Promise<Service> {
    const { HealthImplementation } = await import("grpc-health-check");
    const health = new HealthImplementation(
      Object.fromEntries(SERVICES.map((name) => [name, this.#state])),
    );
    this.#health = health;
    return new LoadedService<Methods>(health);
  }

  #unary(
    method: string,
    handle: (service: Service, request: Buffer, respond: Respond) => void,
  ): handleUnaryCall<Buffer, Buffer | undefined> {
    return (call, respond) => {
      this.#serviceFor(call).then((service) =>
        handle(
          service,
          call.request,
          (error, response) => respond(error, response && service.write(method, response)),
        )
      ).catch((error: unknown) => respond(toStatus(error)));
    };
  }

  #watch(call: WatchCall, service: Service): void {
    if (call.cancelled) return;
    const { service: name } = service.read<Request>("Watch", call.request);
    const isKnown = SERVICES.some((known) => known === name);
    let forget = () => {};
    service.methods.watch({
      request: { service: isKnown ? name : UNKNOWN_SERVICE },
      write: (response) => call.write(service.write("Watch", response)),
      on: (_event, action) => forget = action,
    });
    const interruptions = { shutdown: this.#shutdown, access: contextOf(call).access };
    const interrupt = () => {
      stop();
      call.emit("error", toStatus(interruptionOf(interruptions)));
    };
    const interruption = onInterruption(interruptions, interrupt);
    const stop = () => {
      interruption[Symbol.dispose]();
      forget();
    };
    call.once("cancelled", stop);
    if (isInterrupted(interruptions)) interrupt();
  }
}
