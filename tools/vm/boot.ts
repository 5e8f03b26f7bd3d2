/** Boots a guest under QEMU and returns what it says over its serial line. */
import process from "node:process";
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
}

/**
 * Boots and waits until the guest reboots, which ends QEMU. The serial line is shown as it comes.
 *
 * @returns All that the guest wrote to the serial line, with plain line ends.
 */
export async function bootGuest(boot: Boot): Promise<string> {
  const child = new Deno.Command("timeout", {
    // `timeout` also ends a QEMU whose starter was killed.
    args: ["--kill-after=10", String(boot.timeoutSeconds), QEMU, ...qemuArguments(boot)],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of child.stdout) {
    const part = decoder.decode(chunk, { stream: true }).replaceAll("\r", "");
    process.stdout.write(part);
    text += part;
  }
  const { code } = await child.status;
  if (code !== 0) console.log(`QEMU ended with status ${code}${code === 124 ? " (timeout)" : ""}`);
  return text;
}

function qemuArguments(boot: Boot): string[] {
  const { system, disk, entry, parameters } = boot;
  const commandLine = ["console=ttyS0", "quiet", "loglevel=1", "panic=-1", `entry=${entry}`];
  return [
    ...["-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2"],
    ...["-m", String(MEMORY_MIB), "-nodefaults", "-display", "none", "-serial", "stdio"],
    "-no-reboot",
    ...["-kernel", system.kernel, "-initrd", system.initrd],
    ...["-append", [...commandLine, ...parameters].join(" ")],
    ...["-drive", `file=${disk},format=raw,if=none,id=disk,cache=unsafe`],
    ...["-device", "virtio-blk-pci,drive=disk"],
  ];
}
