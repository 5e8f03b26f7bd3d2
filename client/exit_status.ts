/** The exit statuses of worker-client. Scripts rely on them: docs/client.md lists them. */
export const ExitStatus = {
  ok: 0,
  /** The server could not do it, for a reason that has no status of its own. */
  failed: 1,
  /** The command line, or the request made of it, is wrong. */
  usage: 2,
  /** No answer: no server there, a server that is not to be trusted, a connection lost for good. */
  connection: 3,
  /** This identity may not do it, or cannot be used at all. */
  refused: 4,
  /** There is no such job. */
  notFound: 5,
  /**
   * `run` and `wait` failed themselves. All below belong to the job whose exit code they pass on;
   * container runtimes and timeout(1) use the same number.
   */
  ownFailure: 125,
  /** 128 + SIGINT, as shells say it. */
  interrupted: 130,
} as const;
