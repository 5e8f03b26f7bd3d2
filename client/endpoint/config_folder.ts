import hostPath from "node:path";

/** How paths are written on a system: `posix` or `win32` of node:path. */
export type PathRules = Pick<typeof hostPath, "isAbsolute" | "join" | "sep" | "dirname">;

/**
 * The folder of the config file and of the default identity: `job-worker` in the folder for settings
 * (XDG Base Directory Specification; on Windows the user's `AppData\\Roaming`).
 *
 * @param rules This system's unless given.
 * @returns Undefined where no variable tells; {@linkcode folderVariables} names them.
 */
export function configFolder(
  environment: (name: string) => string | undefined,
  rules: PathRules = hostPath,
): string | undefined {
  const folder = environment("XDG_CONFIG_HOME") ?? settingsFolder(environment, rules);
  return folder && rules.join(folder, "job-worker");
}

function settingsFolder(
  environment: (name: string) => string | undefined,
  rules: PathRules,
): string | undefined {
  if (isWindows(rules)) {
    const profile = environment("USERPROFILE");
    return environment("APPDATA") ?? (profile && rules.join(profile, "AppData", "Roaming"));
  }
  const home = environment("HOME");
  return home && rules.join(home, ".config");
}

/** The variables of which one has to be set. */
export function folderVariables(rules: PathRules = hostPath): string {
  return isWindows(rules) ? "APPDATA or USERPROFILE" : "HOME or XDG_CONFIG_HOME";
}

function isWindows({ sep }: PathRules): boolean {
  return sep === "\\";
}
