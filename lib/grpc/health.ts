/**
 * The health service of gRPC (grpc.health.v1), which load balancers and probes ask: the official
 * implementation, behind the same rules as every other method.
 */
import {
  type handleUnaryCall,
  type Server,
  type ServerWritableStream,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { HealthImplementation, type ServingStatus } from "grpc-health-check";
import { callerOf } from "./authorization.ts";
import { interruptionOf, onInterruption, type Shutdown, toStatus } from "./endings.ts";
import type { Caller } from "../rbac.ts";
import type { RuleFile } from "../access/rule_file.ts";

/** Services whose health is known; the empty name is the server as a whole. */
const SERVICES = ["", "JobService"] as const;

/** What a caller asks for by its own words may be as long as it likes; an answer is not. */
const MAX_NAME_CHARACTERS = 100;

/** Stands for all services that are not there: the implementation keeps a name it was asked to watch. */
const STRANGER = "another service";

interface Request {
  service: string;
}

interface Response {
  status: ServingStatus | "SERVICE_UNKNOWN";
}

type WatchCall = ServerWritableStream<Request, Response>;

/** The methods as the implementation hands them over. */
interface Implementation {
  check: handleUnaryCall<Request, Response>;
  list: handleUnaryCall<object, object>;
  watch(call: WatchCall): void;
}

/** Says whether the server takes calls: SERVING, until it is to end. */
export class HealthService {
  readonly #health: HealthImplementation;
  readonly #rules: RuleFile;
  readonly #shutdown: AbortSignal;

  /**
   * @param rules What narrows the roles.
   * @param shutdown When the server is to end; to be made before any call listens to it.
   */
  constructor(rules: RuleFile, { begun }: Shutdown) {
    this.#rules = rules;
    this.#shutdown = begun;
    const state = Object.fromEntries(SERVICES.map((name) => [name, "SERVING" as const]));
    this.#health = new HealthImplementation(state);
    // Before the watchers' own listeners, so that they are told before they are ended.
    begun.addEventListener("abort", () => {
      for (const name of SERVICES) this.#health.setStatus(name, "NOT_SERVING");
    });
  }

  /** Adds the service to a server that does not take calls yet. */
  addTo(server: Server): void {
    this.#health.addToServer({
      addService: (definition: unknown, methods: unknown) =>
        server.addService(
          definition as ServiceDefinition,
          this.#guard(methods as Implementation),
        ),
    });
  }

  #guard({ check, list, watch }: Implementation): UntypedServiceImplementation {
    return {
      Check: this.#ruled("Health/Check", (call, respond) => {
        call.request.service = call.request.service.slice(0, MAX_NAME_CHARACTERS);
        check(call, respond);
      }),
      List: this.#ruled("Health/List", list),
      Watch: (call: WatchCall) => {
        const { caller } = callerOf(call);
        this.#require(caller, "Health/Watch").then(
          () => this.#watch(call, watch),
          (error: unknown) => call.emit("error", toStatus(error)),
        );
      },
    };
  }

  #ruled<Request, Response>(
    method: string,
    handle: handleUnaryCall<Request, Response>,
  ): handleUnaryCall<Request, Response> {
    return (call, respond) => {
      this.#require(callerOf(call).caller, method).then(
        () => handle(call, respond),
        (error: unknown) => respond(toStatus(error)),
      );
    };
  }

  async #require(caller: Caller, method: string): Promise<void> {
    (await this.#rules.current()).requireMethod(caller, method);
  }

  #watch(call: WatchCall, watch: Implementation["watch"]): void {
    if (call.cancelled) return;
    const isKnown = SERVICES.some((name) => name === call.request.service);
    if (!isKnown) call.request.service = STRANGER;
    watch(call);
    const interruptions = { shutdown: this.#shutdown, access: callerOf(call).access };
    const end = () => {
      // By this event alone the implementation forgets a watcher.
      call.emit("cancelled");
      call.emit("error", toStatus(interruptionOf(interruptions)));
    };
    const interruption = onInterruption(interruptions, end);
    call.once("cancelled", () => interruption[Symbol.dispose]());
    if (interruptions.shutdown.aborted || interruptions.access.aborted) end();
  }
}
