/** Reads the user map when it has changed. It decides as whom commands run: so others must not change it. */
import { findExposures } from "./exposure.ts";
import { RenewedFile } from "./renewed_file.ts";
import { parseUserMap, type UserMap } from "./user_map.ts";

/** The map in the file, and the map in force. */
export class UserMapFile {
  readonly #map: { current(): Promise<UserMap | undefined> };

  private constructor(map: { current(): Promise<UserMap | undefined> }) {
    this.#map = map;
  }

  /**
   * @param path Empty: there is no user map.
   * @param owners The users who may own the file and the folders above it; nobody else may change them.
   * @throws {Error} When the file is missing, invalid, or may be changed by others.
   */
  static async open(path: string, owners?: readonly number[]): Promise<UserMapFile> {
    if (path === "") return new UserMapFile({ current: () => Promise.resolve(undefined) });
    return new UserMapFile(
      await RenewedFile.open(path, {
        name: "user map",
        changed: "the user map has changed",
        invalid: "the user map is invalid; keeping the previous one",
        option: "--user-map",
        readText: (file) => readSafely(file, owners),
        parse: parseUserMap,
      }),
    );
  }

  /** The map in force. Reads the file again where it has changed; an invalid one is ignored. */
  current(): Promise<UserMap | undefined> {
    return this.#map.current();
  }
}

async function readSafely(path: string, owners?: readonly number[]): Promise<string> {
  const [problem] = await findExposures({ secret: [], decisive: [path] }, owners);
  if (problem !== undefined) throw new Error(problem);
  return await Deno.readTextFile(path);
}
