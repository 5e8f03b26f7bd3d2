import assert from "node:assert/strict";
import { join } from "node:path";
import { requireLimitsFolder } from "../../lib/server/limits_folder.ts";

Deno.test("requireLimitsFolder: accepts a folder, and says what to do about anything else", async () => {
  const folder = await Deno.makeTempDir({ prefix: "limits-folder-" });
  try {
    await requireLimitsFolder(folder);
    await assert.rejects(
      requireLimitsFolder(join(folder, "none")),
      /^Error: the limits folder \S+none does not exist; say where it is with --limits-dir, or make/,
    );
    await Deno.writeTextFile(join(folder, "file"), "");
    await assert.rejects(
      requireLimitsFolder(join(folder, "file")),
      /file is not a folder; say where/,
    );
    await assert.rejects(requireLimitsFolder(""), /does not exist/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
