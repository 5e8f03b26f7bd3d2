/**
 * The folder of the config file and of the default identity: `job-worker` in the folder for settings
 * (XDG Base Directory Specification).
 *
 * @returns Undefined where neither XDG_CONFIG_HOME nor HOME is set.
 */
export function configFolder(
  environment: (name: string) => string | undefined,
): string | undefined {
  const home = environment("HOME");
  const folder = environment("XDG_CONFIG_HOME") ?? (home && `${home}/.config`);
  return folder && `${folder}/job-worker`;
}
