/** What starts and updates ask for that servers of earlier versions would ignore, and not refuse. */
import type { StartRequest } from "../../proto/contract.ts";
import type { CallOptions, Session } from "../connection/session.ts";
import { GrpcStatus, RefusedCallError } from "../errors.ts";

/** Fields of the contract, with the option that sets each. */
const LATER_FIELDS: readonly {
  readonly field: string;
  readonly option: string;
  readonly isGiven: (request: StartRequest) => boolean;
  /** Servers over a cluster have always had it. */
  readonly isClusters?: true;
}[] = [
  {
    field: "nice",
    option: "--nice",
    isGiven: ({ nice }) => typeof nice === "number",
    isClusters: true,
  },
  ...([
    ["memoryHighBytes", "memory_high_bytes", "--memory-high"],
    ["readOperationsPerSecond", "read_operations_per_second", "--read-iops"],
    ["writeOperationsPerSecond", "write_operations_per_second", "--write-iops"],
  ] as const).map(([name, field, option]) => ({
    field: `limits.${field}`,
    option,
    isGiven: ({ limits }: StartRequest) => typeof limits?.[name] === "number",
  })),
  {
    field: "limits.allowed_cpus",
    option: "--cpus-allowed",
    isGiven: ({ limits }) => typeof limits?.allowedCpus === "string",
  },
  {
    field: "limits.disks",
    option: "--disk",
    isGiven: ({ limits }) => (limits?.disks ?? []).length > 0,
  },
  { field: "open_files", option: "--nofile", isGiven: ({ openFiles = 0 }) => openFiles !== 0 },
];

/**
 * Refuses a start, or an update, that asks for what its server would ignore.
 *
 * @param request Of an update: what a start with its limits would ask for.
 * @throws {ClientError} The server does not know it, or cannot be asked.
 */
export async function checkKnowsFields(
  session: Session,
  request: StartRequest,
  { signal, verb = "start" }: Pick<CallOptions, "signal"> & { verb?: "start" | "update" } = {},
): Promise<void> {
  const asked = LATER_FIELDS.filter(({ isGiven }) => isGiven(request));
  if (asked.length === 0) return;
  const { engine, startFields } = await session.call("Info", {}, { signal });
  const unknown = asked.find(({ field, isClusters }) =>
    !startFields.includes(field) && !(isClusters && engine !== "")
  );
  if (unknown === undefined) return;
  throw new RefusedCallError(
    `Cannot ${verb} the job: ${unknown.option} needs a newer server; ${session.server} would ignore it. ` +
      "Upgrade it.",
    GrpcStatus.invalidArgument,
  );
}
