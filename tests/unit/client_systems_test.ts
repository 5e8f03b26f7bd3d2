/** What of the client differs between systems: where its settings are, which signals there are. */
import { strict as assert } from "node:assert";
import { posix, win32 } from "node:path";
import { parseConfig } from "../../client/endpoint/config_file.ts";
import { configFolder, folderVariables } from "../../client/endpoint/config_folder.ts";
import { processSignals } from "../../common/process_signals.ts";

function folderIn(variables: Record<string, string>, rules: typeof posix) {
  return configFolder((name) => variables[name], rules);
}

Deno.test("configFolder: Linux and macOS have it below HOME, whatever a Windows variable says", () => {
  const home = { HOME: "/home/a", APPDATA: "C:\\x" };
  assert.equal(folderIn(home, posix), "/home/a/.config/job-worker");
  assert.equal(folderIn({ ...home, XDG_CONFIG_HOME: "/c" }, posix), "/c/job-worker");
  assert.equal(folderIn({ APPDATA: "C:\\x" }, posix), undefined);
  assert.equal(folderVariables(posix), "HOME or XDG_CONFIG_HOME");
});

Deno.test("configFolder: Windows has it in the folder of settings", () => {
  const user = { USERPROFILE: "C:\\Users\\a", HOME: "/c/Users/a" };
  assert.equal(folderIn(user, win32), "C:\\Users\\a\\AppData\\Roaming\\job-worker");
  assert.equal(folderIn({ ...user, APPDATA: "D:\\r" }, win32), "D:\\r\\job-worker");
  assert.equal(folderIn({ HOME: "/c/Users/a" }, win32), undefined);
  assert.equal(folderVariables(win32), "APPDATA or USERPROFILE");
});

Deno.test("parseConfig: absolute paths are those of the system", () => {
  const text = (identity: string) =>
    JSON.stringify({ contexts: { a: { server: "a:1", identity } } });
  assert.doesNotThrow(() => parseConfig(text("C:\\keys\\a.pem"), win32));
  assert.throws(() => parseConfig(text("keys\\a.pem"), win32), /expected an absolute path/);
  assert.doesNotThrow(() => parseConfig(text("/keys/a.pem"), posix));
  assert.throws(() => parseConfig(text("C:\\keys\\a.pem"), posix), /expected an absolute path/);
});

Deno.test("processSignals: none is asked for that the system's runtime refuses", () => {
  const { interrupts, resize, suspend, keepsCtrlC } = processSignals("windows");
  // What Deno takes there: Deno.addSignalListener throws for every other one.
  assert.deepEqual(interrupts, ["SIGINT", "SIGBREAK"]);
  assert.deepEqual([resize, suspend, keepsCtrlC], [undefined, undefined, false]);
  for (const os of ["linux", "darwin"]) {
    assert.deepEqual(processSignals(os), {
      interrupts: ["SIGINT", "SIGTERM"],
      resize: "SIGWINCH",
      suspend: "SIGTSTP",
      keepsCtrlC: true,
    });
  }
});
