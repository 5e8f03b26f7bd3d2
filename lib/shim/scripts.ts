/** The shell scripts, as the texts that /bin/sh is given: the only code that touches kernel files. */
import { stripComments } from "./shell.ts";
import alive from "./alive.sh" with { type: "text" };
import batch from "./batch.sh" with { type: "text" };
import cleanEnvironment from "./clean_environment.sh" with { type: "text" };
import copy from "./copy.sh" with { type: "text" };
import cpuset from "./cpuset.sh" with { type: "text" };
import descriptors from "./descriptors.sh" with { type: "text" };
import disk from "./disk.sh" with { type: "text" };
import disks from "./disks.sh" with { type: "text" };
import enable from "./enable.sh" with { type: "text" };
import ending from "./ending.sh" with { type: "text" };
import engine from "./engine.sh" with { type: "text" };
import enter from "./enter.sh" with { type: "text" };
import feed from "./feed.sh" with { type: "text" };
import findCommand from "./find_command.sh" with { type: "text" };
import formats from "./formats.sh" with { type: "text" };
import group from "./group.sh" with { type: "text" };
import launchRecord from "./launch_record.sh" with { type: "text" };
import launch from "./launch.sh" with { type: "text" };
import listen from "./listen.sh" with { type: "text" };
import ownProgram from "./own_program.sh" with { type: "text" };
import parseStat from "./parse_stat.sh" with { type: "text" };
import populated from "./populated.sh" with { type: "text" };
import probe from "./probe.sh" with { type: "text" };
import punch from "./punch.sh" with { type: "text" };
import read from "./read.sh" with { type: "text" };
import ready from "./ready.sh" with { type: "text" };
import remove from "./remove.sh" with { type: "text" };
import setLimits from "./set_limits.sh" with { type: "text" };
import signal from "./signal.sh" with { type: "text" };
import signalAll from "./signal_all.sh" with { type: "text" };
import signalMain from "./signal_main.sh" with { type: "text" };
import states from "./states.sh" with { type: "text" };
import step from "./step.sh" with { type: "text" };
import stepGroups from "./step_groups.sh" with { type: "text" };
import strays from "./strays.sh" with { type: "text" };
import unit from "./unit.sh" with { type: "text" };
import update from "./update.sh" with { type: "text" };
import user from "./user.sh" with { type: "text" };
import weigh from "./weigh.sh" with { type: "text" };
import writable from "./writable.sh" with { type: "text" };
import written from "./written.sh" with { type: "text" };

/** One script for each task. Each file says what it takes and prints. */
export const scripts = {
  batch: stripComments(
    parseStat + signalMain + setLimits + ending + copy + ownProgram + step + stepGroups + listen +
      batch,
  ),
  cleanEnvironment: stripComments(cleanEnvironment),
  alive: stripComments(parseStat + alive),
  cpuset: stripComments(cpuset),
  descriptors: stripComments(descriptors),
  disk: stripComments(disk),
  disks: stripComments(disks),
  enable: stripComments(enable),
  enter: stripComments(findCommand + ownProgram + enter),
  engine: stripComments(engine),
  formats: stripComments(formats),
  group: stripComments(ownProgram + group),
  launch: stripComments(
    signalAll + remove + parseStat + setLimits + ending + copy + feed + findCommand +
      ownProgram + launchRecord + launch,
  ),
  populated: stripComments(populated),
  probe: stripComments(ownProgram + probe),
  punch: stripComments(ownProgram + punch),
  read: stripComments(read),
  ready: stripComments(ready),
  remove: `${stripComments(signalAll + remove)}remove_groups "$@"\n`,
  signal: stripComments(signalAll + parseStat + signalMain + signal),
  states: stripComments(parseStat + signalMain + states),
  strays: stripComments(strays),
  unit: stripComments(unit),
  update: stripComments(setLimits + update),
  user: stripComments(ownProgram + user),
  weigh: stripComments(weigh),
  writable: stripComments(writable),
  written: stripComments(written),
} as const;
