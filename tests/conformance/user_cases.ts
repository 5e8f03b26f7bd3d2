/** Whom jobs run as, where a start may name the user, and where it may not. */
import { strict as assert } from "node:assert";
import { assertRefused, type Case } from "./case.ts";
import { Job } from "./site.ts";

/** A user that every Debian has. */
const NOBODY = { user: "nobody" };

/** Where it may. */
export const USER_CASES: readonly Case[] = [
  {
    name: "runs a job as the user that it names",
    lacks: ({ users }) => users ? undefined : "has one user for all jobs",
    async holds(site) {
      const script = 'id -un; id -Gn; echo "$USER $LOGNAME $HOME"';
      const job = await Job.script(site, script, { settings: NOBODY });
      assert.equal((await job.exited()).exitCode, 0);
      assert.equal(await job.output(), "nobody\nnogroup\nnobody nobody /nonexistent\n");
    },
  },
  {
    name: "runs nothing as a user that there is not",
    lacks: ({ users }) => users ? undefined : "has one user for all jobs",
    async holds(site) {
      const settings = { user: "job-worker-no-such-user" };
      await assertRefused(site, ["true"], { settings, message: /\buser\b/ });
    },
  },
];

/** Where it may not. */
export const ONE_USER_CASES: readonly Case[] = [
  {
    name: "runs nothing as another user than the server's where all jobs have that one",
    lacks: ({ users }) => users ? "lets jobs name their users" : undefined,
    async holds(site) {
      await assertRefused(site, ["true"], {
        settings: NOBODY,
        message: /jobs of this server run as .*; leave --user out/,
      });
    },
  },
];
