/**
 * The health service of gRPC (grpc.health.v1), which load balancers and probes call: the official
 * implementation, authorized as every other method is.
 */
import {
  type handleUnaryCall,
  type Server,
  type ServerErrorResponse,
  type ServerWritableStream,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { HealthImplementation, type ServingStatus } from "grpc-health-check";
import type { RuleFile } from "../access/rule_file.ts";
import { contextOf, rulesFor } from "./call_context.ts";
import {
  interruptionOf,
  isInterrupted,
  onInterruption,
  type Shutdown,
  toStatus,
} from "./endings.ts";

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

type WatchCall = ServerWritableStream<Request, Response>;

/** What the implementation uses of a call of Check. */
type CheckRequest = { readonly request: Request };

/** What the implementation uses of a call of Watch. */
interface Watcher {
  readonly request: Request;
  write(response: Response): void;
  /** @param forget Called when the watching ends. */
  on(event: "cancelled", forget: () => void): void;
}

/** The methods as the implementation hands them over. */
interface Implementation {
  check(
    call: CheckRequest,
    respond: (error: ServerErrorResponse | null, response?: Response) => void,
  ): void;
  list: handleUnaryCall<object, object>;
  watch(watcher: Watcher): void;
}

/**
 * Answers whether the server takes calls: SERVING until its shutdown begins, except while it accepts
 * no connections.
 */
export class HealthService {
  readonly #health: HealthImplementation;
  readonly #rules: Pick<RuleFile, "current">;
  readonly #shutdown: AbortSignal;

  /**
   * @param rules The rules that narrow the roles.
   * @param shutdown Made before any call listens to it.
   */
  constructor(rules: Pick<RuleFile, "current">, { begun }: Pick<Shutdown, "begun">) {
    this.#rules = rules;
    this.#shutdown = begun;
    const state = Object.fromEntries(SERVICES.map((name) => [name, "SERVING" as const]));
    this.#health = new HealthImplementation(state);
    // This listener comes before those of the watchers, which end them: they see the change first.
    begun.addEventListener("abort", () => {
      this.setServing(false);
    });
  }

  /** Tells whoever asks and whoever watches; a shutdown that has begun is not taken back. */
  setServing(isServing: boolean): void {
    const state = isServing && !this.#shutdown.aborted ? "SERVING" : "NOT_SERVING";
    for (const name of SERVICES) this.#health.setStatus(name, state);
  }

  /** Adds the service to a server that does not take calls yet. */
  addTo(server: Pick<Server, "addService">): void {
    this.#health.addToServer({
      addService: (definition: unknown, methods: unknown) =>
        server.addService(
          definition as ServiceDefinition,
          this.#authorized(methods as Implementation),
        ),
    });
  }

  #authorized({ check, list, watch }: Implementation): UntypedServiceImplementation {
    return {
      Check: this.#unary<Request, Response>((call, respond) => {
        const service = call.request.service.slice(0, MAX_NAME_CHARACTERS);
        check({ request: { service } }, respond);
      }),
      List: this.#unary(list),
      Watch: (call: WatchCall) => {
        rulesFor(contextOf(call), this.#rules).then(
          () => this.#watch(call, watch),
          (error: unknown) => call.emit("error", toStatus(error)),
        );
      },
    };
  }

  #unary<Request, Response>(
    handle: handleUnaryCall<Request, Response>,
  ): handleUnaryCall<Request, Response> {
    return (call, respond) => {
      rulesFor(contextOf(call), this.#rules).then(
        () => handle(call, respond),
        (error: unknown) => respond(toStatus(error)),
      );
    };
  }

  #watch(call: WatchCall, watch: Implementation["watch"]): void {
    if (call.cancelled) return;
    const { service } = call.request;
    const isKnown = SERVICES.some((name) => name === service);
    let forget = () => {};
    watch({
      request: { service: isKnown ? service : UNKNOWN_SERVICE },
      write: (response) => call.write(response),
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
