import { ClientError } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";

/** A connection that could not be made, and why. */
export class ConnectionFailure extends ClientError {
  override name = "ConnectionFailure";
  /** Whether every further attempt fails until a person has changed something. */
  readonly final: boolean;
  /** Whether it may be a server that is just being restarted. */
  readonly isTemporary: boolean;

  constructor(
    message: string,
    { final, isTemporary = false, exitStatus = ExitStatus.connection }: {
      final: boolean;
      isTemporary?: boolean;
      exitStatus?: number;
    },
  ) {
    super(message, exitStatus);
    this.final = final;
    this.isTemporary = isTemporary;
  }
}
