import type { ServerAddress } from "./address.ts";
import type { Identity } from "./identity.ts";

/** Everything a connection needs. */
export interface Endpoint {
  readonly address: ServerAddress;
  readonly identity: Identity;
}
