/**
 * Output that the server does not have: it keeps the newest part of each job's output, a full disk takes
 * nothing more, and somebody may have cut the file.
 */
export class Gap {
  /** Where it begins, counted from the first byte of the job's output. */
  readonly offset: number;
  /** How many bytes are missing. */
  readonly length: number;

  /**
   * For the library, and for programs that replace the client in their own tests.
   *
   * @param offset Where it begins.
   * @param length How many bytes are missing.
   */
  constructor(offset: number, length: number) {
    this.offset = offset;
    this.length = length;
  }
}
