import type { AskedSettings } from "../../lib/model/settings.ts";

/** A start that asks for nothing but its command. */
export const NOTHING: AskedSettings = {
  env: {},
  workingDirectory: "",
  user: "",
  timeoutMs: 0,
  isolation: null,
  stopSignal: "",
  title: "",
  labels: {},
  stdin: new Uint8Array(),
  queue: "",
  openStdin: false,
  partition: "",
  account: "",
  qos: "",
  openFiles: 0,
  cpus: 0,
  gpus: "",
  constraint: "",
  beginAtMs: 0,
  after: [],
};
