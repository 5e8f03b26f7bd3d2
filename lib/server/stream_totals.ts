/** Streams of output: how many are open, and the bytes that all of them have sent. */
export class StreamTotals {
  open = 0;
  bytes = 0;
}
