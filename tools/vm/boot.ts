/** Boots a guest under QEMU and returns what it says over its serial line. */
import type { GuestSystem } from "./root.ts";

/** QEMU's program for the guest's machine. */
export const QEMU = "qemu-system-x86_64";

const MEMORY_MIB = 1024;

/** What is started in the guest, and how long it may take. */
export interface Boot {
  readonly system: GuestSystem;
  readonly disk: string;
  /** The first program of the root filesystem. */
  readonly entry: string;
  /** More for the kernel's command line: `NAME=VALUE` goes to the first program's environment. */
  readonly parameters: readonly string[];
  readonly timeoutSeconds: number;
  /**
   * Cuts the power as soon as it says yes to what the guest has written so far: QEMU is killed, so that
   * what the guest has not written to its disk is gone. The disk honours flushes then.
   */
  readonly cutPower?: (output: string) => boolean;
}

/** How a boot ended. */
export type BootEnd = "reboot" | "power cut" | "timeout" | "failure";

/**
 * Boots and waits until the guest reboots, which ends QEMU, or its power is cut. The serial line is
 * shown as it comes, each line with the guest's name.
 *
 * @returns All that the guest wrote to the serial line, with plain line ends, and how it ended.
 */
export async function bootGuest(boot: Boot): Promise<{ output: string; end: BootEnd }> {
  const pidFile = `${boot.disk}.pid`;
  const child = new Deno.Command("timeout", {
    // `timeout` also ends a QEMU whose starter was killed.
    args: [
      ...["--kill-after=10", String(boot.timeoutSeconds), QEMU],
      ...["-pidfile", pidFile, ...qemuArguments(boot)],
    ],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const decoder = new TextDecoder();
  let output = "";
  let isCut = false;
  for await (const chunk of child.stdout) {
    const shown = output.lastIndexOf("\n") + 1;
    output += decoder.decode(chunk, { stream: true }).replaceAll("\r", "");
    showLines(boot.system.release, output.slice(shown, output.lastIndexOf("\n") + 1));
    if (isCut || boot.cutPower?.(output) !== true) continue;
    isCut = true;
    Deno.kill(Number(await Deno.readTextFile(pidFile)), "SIGKILL");
  }
  const { code } = await child.status;
  await Deno.remove(pidFile).catch(() => {}); // QEMU removes it where it is not killed.
  if (code !== 0 && !isCut) console.log(`QEMU ended with status ${code}`);
  return { output, end: isCut ? "power cut" : ENDS[code] ?? "failure" };
}

/** How QEMU ended, by the exit status of timeout(1). */
const ENDS: Readonly<Record<number, BootEnd>> = { 0: "reboot", 124: "timeout", 137: "timeout" };

/** Guests run beside each other, so each line says whose it is. */
function showLines(guest: string, text: string): void {
  for (const line of text.split("\n").slice(0, -1)) {
    console.log(`${guest} | ${line.replaceAll(TERMINAL_CONTROL, "")}`);
  }
}

/** What systemd tells a terminal when it takes it over (ECMA-48, control sequences). */
// deno-lint-ignore no-control-regex -- that is what is looked for
const TERMINAL_CONTROL = /\x1b\[[0-?]*[ -/]*[@-~]/g;

function qemuArguments(boot: Boot): string[] {
  const { system, disk, entry, parameters, cutPower } = boot;
  // A flush waits for the disk of this host, which only a power cut gives a meaning to.
  const cache = cutPower === undefined ? "unsafe" : "writeback";
  const commandLine = ["console=ttyS0", "quiet", "loglevel=1", "panic=-1", `entry=${entry}`];
  return [
    // One processor: emulated ones see each other's patches of the kernel's code too late, and it
    // panics ("Oops: int3" in enqueue_task_fair, when the first group gets a CPU limit).
    ...["-M", "q35", "-accel", "tcg", "-cpu", "max", "-smp", "1"],
    ...["-m", String(MEMORY_MIB), "-nodefaults", "-display", "none", "-serial", "stdio"],
    "-no-reboot",
    ...["-kernel", system.kernel, "-initrd", system.initrd],
    ...["-append", [...commandLine, ...parameters].join(" ")],
    ...["-drive", `file=${disk},format=raw,if=none,id=disk,cache=${cache}`],
    ...["-device", "virtio-blk-pci,drive=disk"],
  ];
}
