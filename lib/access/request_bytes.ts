/** Bounds on the memory of requests, so that no user can fill it with what is only half sent. Pure. */

/** What a request may hold that is not counted: so a call with a usual request always has room. */
const FREE_BYTES = 64 * 1024;

/** What each piece of a request takes beside its bytes, however small it is. */
const PIECE_BYTES = 256;

/** Infinity: no bound. */
export interface RequestByteBounds {
  /** Of the open calls of one certificate name. */
  readonly maxPerUser: number;
  readonly maxInAll: number;
}

/** Room for the requests of one name: a large job's input, say, some twenty times. */
export const REQUEST_BYTE_BOUNDS: RequestByteBounds = {
  maxPerUser: 64 * 1024 ** 2,
  maxInAll: 192 * 1024 ** 2,
};

/** What the requests of all open calls hold. */
export class RequestBytes {
  readonly #bounds: RequestByteBounds;
  /** By certificate name; 0 is not in it. */
  readonly #held = new Map<string, number>();
  #heldInAll = 0;

  constructor(bounds: RequestByteBounds = REQUEST_BYTE_BOUNDS) {
    this.#bounds = bounds;
  }

  /** The request of a call that begins. */
  begin(name: string): HeldRequest {
    let cost = 0;
    let counted = 0;
    const count = (bytes: number) => {
      counted += bytes;
      this.#heldInAll += bytes;
      const held = (this.#held.get(name) ?? 0) + bytes;
      if (held > 0) this.#held.set(name, held);
      else this.#held.delete(name);
    };
    return {
      add: (bytes) => {
        cost += bytes + PIECE_BYTES;
        const more = Math.max(0, cost - FREE_BYTES) - counted;
        if (more === 0) return undefined;
        const { maxPerUser, maxInAll } = this.#bounds;
        if ((this.#held.get(name) ?? 0) + more > maxPerUser) {
          return `${name} has requests of ${mebibytes(maxPerUser)} under way`;
        }
        if (this.#heldInAll + more > maxInAll) {
          return `requests of ${mebibytes(maxInAll)} are under way on this server`;
        }
        count(more);
        return undefined;
      },
      end: () => count(-counted),
    };
  }
}

/** What one request holds, from its first byte to the end of its call. */
export interface HeldRequest {
  /**
   * Counts the next bytes of the request.
   *
   * @returns Why there is no room for them, where there is none.
   */
  add(bytes: number): string | undefined;
  /** Counts the end of the call. */
  end(): void;
}

function mebibytes(bytes: number): string {
  return `${bytes / 1024 ** 2} MiB`;
}
