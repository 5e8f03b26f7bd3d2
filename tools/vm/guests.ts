/** The guests: which tests they run in which boot. */
import type { Release } from "./root.ts";

/** One boot of a guest. */
export interface GuestBoot {
  /** The file of tests. */
  readonly tests: string;
  /** The first program of the root filesystem. */
  readonly entry: string;
  /** More for the kernel's command line. */
  readonly parameters: readonly string[];
  /** Whether the guest's power is cut at its end, instead of a reboot. */
  readonly endsByPowerCut: boolean;
  /** Whether its tests install the server's Debian packages. */
  readonly needsPackages: boolean;
}

const FIRST_BOOT: GuestBoot = {
  tests: "first_boot",
  entry: "/opt/job-worker/init.sh",
  parameters: ["then=power_cut"],
  endsByPowerCut: true,
  needsPackages: false,
};

function systemdBoot(tests: string, { needsPackages }: { needsPackages: boolean }): GuestBoot {
  return {
    tests,
    needsPackages,
    entry: "/usr/lib/systemd/systemd",
    parameters: [
      "systemd.unit=guest-tests.service",
      "systemd.firstboot=off",
      "systemd.show_status=off",
    ],
    endsByPowerCut: false,
  };
}

/** The boots of each guest. Later ones find on the disk what the ones before them wrote. */
export const BOOTS: Readonly<Record<Release, readonly GuestBoot[]>> = {
  // The second boot has what the power cut left, and the tests of systemd besides.
  bookworm: [FIRST_BOOT, systemdBoot("second_boot", { needsPackages: false })],
  trixie: [systemdBoot("systemd_boot", { needsPackages: true })],
};
