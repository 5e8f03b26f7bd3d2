/** The shell scripts, as the texts that /bin/sh is given: the only code that touches kernel files. */
import { stripComments } from "./shell.ts";
import alive from "./shim/alive.sh" with { type: "text" };
import enable from "./shim/enable.sh" with { type: "text" };
import enter from "./shim/enter.sh" with { type: "text" };
import launch from "./shim/launch.sh" with { type: "text" };
import probe from "./shim/probe.sh" with { type: "text" };
import punch from "./shim/punch.sh" with { type: "text" };
import read from "./shim/read.sh" with { type: "text" };
import ready from "./shim/ready.sh" with { type: "text" };
import remove from "./shim/remove.sh" with { type: "text" };
import signal from "./shim/signal.sh" with { type: "text" };
import user from "./shim/user.sh" with { type: "text" };

/** What the files of lib/shim/ do, each of which says what it takes and prints. */
export const scripts = {
  alive: stripComments(alive),
  enable: stripComments(enable),
  enter: stripComments(enter),
  launch: stripComments(remove + launch),
  probe: stripComments(probe),
  punch: stripComments(punch),
  read: stripComments(read),
  ready: stripComments(ready),
  remove: `${stripComments(remove)}remove_groups "$@"\n`,
  signal: stripComments(signal),
  user: stripComments(user),
} as const;
