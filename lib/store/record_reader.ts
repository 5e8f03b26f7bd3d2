/** Reads records out of rows; a damaged one costs no more than itself. */
import * as v from "valibot";
import { messageOf } from "../errors.ts";
import { log } from "../log.ts";
import type { JobRecord } from "../model/record.ts";
import { ROW, toRecord } from "./stored_record.ts";

/** How many damaged rows are remembered as told: each takes some 100 bytes. */
const MAX_TOLD = 10_000;

const ROW_WITH_ID = v.object({ id: v.string() });

/** Reads rows, and tells of each damaged one once. */
export class RecordReader {
  readonly #told = new Set<string>();

  /**
   * @param row Of {@linkcode ROW}; undefined: no row was found.
   * @returns Undefined for a damaged record: it is logged, and stays in the database as it is.
   */
  read(row: unknown): JobRecord | undefined {
    if (row === undefined) return undefined;
    try {
      return toRecord(v.parse(ROW, row));
    } catch (error) {
      this.#tell(v.is(ROW_WITH_ID, row) ? row.id : "", messageOf(error));
      return undefined;
    }
  }

  /** Reads many. */
  readAll(rows: readonly unknown[]): JobRecord[] {
    return rows.flatMap((row) => this.read(row) ?? []);
  }

  #tell(id: string, problem: string): void {
    if (this.#told.has(id) || this.#told.size >= MAX_TOLD) return;
    this.#told.add(id);
    // The parser's message repeats a part of the record, which may have secrets in its arguments.
    log.error("a job's record is damaged, and passed over; its folder is kept", {
      job: id.slice(0, 64),
      problem: problem.replace(/(["'`]).*/s, "").slice(0, 100),
    });
  }
}
