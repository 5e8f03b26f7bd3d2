/** What `worker-server doctor` takes from the server's unit. */
import { strict as assert } from "node:assert";
import { parseEnvironmentFile, parseUnit } from "../../lib/server/unit_settings.ts";

Deno.test("parseUnit: variables and files as systemctl prints them", () => {
  const text = [
    'Environment=JOB_WORKER_CGROUP_PARENT=system.slice/x/jobs "A=b c \\"d\\"" EMPTY=',
    "EnvironmentFiles=/etc/job-worker/server.env (ignore_errors=yes)",
    "EnvironmentFiles=/etc/with blank (ignore_errors=no)",
    "LoadState=loaded",
    "",
  ].join("\n");
  assert.deepEqual(parseUnit(text), {
    variables: { JOB_WORKER_CGROUP_PARENT: "system.slice/x/jobs", A: 'b c "d"', EMPTY: "" },
    files: [
      { file: "/etc/job-worker/server.env", mayBeMissing: true },
      { file: "/etc/with blank", mayBeMissing: false },
    ],
  });
});

Deno.test("parseUnit: without systemd, or without the unit, there is none", () => {
  for (const text of ["", "\n", "LoadState=not-found\nEnvironment=\n"]) {
    assert.equal(parseUnit(text), undefined);
  }
});

Deno.test("parseEnvironmentFile: comments, quotes and continued lines, as systemd reads them", () => {
  const text = '# JOB_WORKER_A=1\n; B=2\n\n  JOB_WORKER_LISTEN=0.0.0.0:50051\r\nQ="a \\"b\\" c"\n' +
    "S='x # y'\nLONG=one \\\ntwo\nPLAIN=a=b # kept\nnonsense\n=x\n";
  assert.deepEqual(parseEnvironmentFile(text), {
    JOB_WORKER_LISTEN: "0.0.0.0:50051",
    Q: 'a "b" c',
    S: "x # y",
    LONG: "one two",
    PLAIN: "a=b # kept",
  });
});
