/** Output that is not there any more: the server keeps the newest of each job. */
export class Gap {
  /** Where it begins, counted from the first byte of the job's output. */
  readonly offset: number;
  /** How many bytes are missing. */
  readonly length: number;

  /**
   * Makes one; a program that stands in for the client in its own tests may want to.
   *
   * @param offset Where it begins.
   * @param length How many bytes are missing.
   */
  constructor(offset: number, length: number) {
    this.offset = offset;
    this.length = length;
  }
}
