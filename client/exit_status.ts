/** The exit statuses of worker-client. Scripts rely on them: docs/client.md lists them. */
export const ExitStatus = {
  ok: 0,
  /** The server could not do it, for a reason without a status of its own. */
  failed: 1,
  /** The command line, or the request made from it, is not valid. */
  usage: 2,
  /** No answer: the server cannot be reached or trusted, or the connection was lost for good. */
  connection: 3,
  /** This identity is not allowed to do it, or is not valid. */
  refused: 4,
  /** There is no such job. */
  notFound: 5,
  /** A wait has taken as long as it may: as timeout(1) says it. */
  timedOut: 124,
  /**
   * A failure of `run` or `wait` itself: lower numbers are exit codes of the job. Container runtimes
   * and timeout(1) use the same number.
   */
  ownFailure: 125,
  /** 128 + SIGINT, as in shells. */
  interrupted: 130,
} as const;
