/** The Debian packages: which program each has, and what it says of itself. */
import type { BinaryName } from "../build/permissions.ts";

/** What a package says of itself, and has besides its program. */
export interface PackageKind {
  readonly folder: "usr/bin" | "usr/sbin";
  readonly fields: readonly string[];
  readonly summary: string;
  readonly description: readonly string[];
  /** Documents of the repository. */
  readonly documents: readonly string[];
  /** Tags of lintian that do not apply, each with the reason. */
  readonly overrides: readonly (readonly [tag: string, reason: string])[];
}

/** Of every program: the runtime in it is built elsewhere. */
const RUNTIME_OVERRIDES = [
  [
    "embedded-library",
    "The runtime of Deno, which is not in Debian, has its own copies of these, as it is released",
  ],
  [
    "binary-has-unneeded-section",
    "A program of Deno's ends where its code is: strip would break it",
  ],
  ["spelling-error-in-binary", "In texts of the runtime"],
  ["initial-upload-closes-no-bugs", "Never uploaded to Debian: built from its own repository"],
] as const;

/** One for each program. */
export const KINDS: Readonly<Record<BinaryName, PackageKind>> = {
  "worker-server": {
    folder: "usr/sbin",
    fields: [
      "Depends: libc6 (>= 2.27), libgcc-s1, init-system-helpers (>= 1.54~), systemd",
      "Recommends: job-worker-client",
      "Suggests: job-worker-certs",
    ],
    summary: "runs commands as limited jobs, over mutual TLS (server)",
    description: [
      "Runs any Linux command as a job on this host for clients elsewhere, whom it",
      "knows by their certificates. Each job has control groups of its own that limit",
      "its CPU, memory and disk I/O. Jobs outlive the server: after an upgrade or a",
      "crash the next one finds each job again, with its output and exit status.",
    ],
    documents: ["docs/guide.md", "docs/security.md", "docs/cluster.md", "docs/performance.md"],
    overrides: [
      ...RUNTIME_OVERRIDES,
      [
        "package-supports-alternative-init-but-no-init.d-script",
        "Jobs need control groups that systemd delegates",
      ],
      [
        "systemd-service-file-missing-install-key",
        "The unit of the jobs is started by that of the server, and never enabled",
      ],
    ],
  },
  "worker-client": {
    folder: "usr/bin",
    fields: ["Depends: libc6 (>= 2.27), libgcc-s1", "Suggests: job-worker-certs"],
    summary: "runs commands as limited jobs, over mutual TLS (client)",
    description: [
      "Starts, watches and stops jobs on hosts that run worker-server, follows their",
      "output over broken connections, and shows them in a browser. It needs nothing",
      "but an identity: a certificate, its key and the certificate of the CA.",
    ],
    documents: ["docs/client.md", "docs/reference.md"],
    overrides: RUNTIME_OVERRIDES,
  },
  "worker-certs": {
    folder: "usr/bin",
    fields: ["Depends: libc6 (>= 2.27), libgcc-s1"],
    summary: "runs commands as limited jobs, over mutual TLS (certificates)",
    description: [
      "Makes the private CA of a job worker, and issues, renews and revokes the",
      "certificates of its servers and clients. It belongs on a machine of its own,",
      "since the key of the CA should never be on a host that runs jobs.",
    ],
    documents: ["docs/certificates.md"],
    overrides: RUNTIME_OVERRIDES,
  },
};
