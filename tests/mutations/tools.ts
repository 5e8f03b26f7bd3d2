/** Breakages of what runs the tests. */
import type { Mutation } from "./mutation.ts";

export const MUTATIONS: readonly Mutation[] = [
  {
    name: "a line of a manual page that begins with a dot is a request",
    file: "tools/release/man_page.ts",
    from: ".replace(/^(?=\\.)/gm",
    to: ".replace(/^(?=\\.\\.)/gm",
    tests: ["man_page"],
  },
  {
    name: "a runtime for another processor is taken",
    file: "tools/build/denort.ts",
    from: " || found.processor !== kind.processor",
    to: "",
    tests: ["denort"],
  },
  {
    name: "the kept runtime serves every target",
    file: "tools/build/denort.ts",
    from: "if (target !== PINNED_TARGET) {",
    to: "if (target !== target) {",
    tests: ["denort"],
  },
  {
    name: "the first summary counts instead of the last",
    file: "tools/test/output.ts",
    from: "[...output.matchAll(SUMMARY)].at(-1)",
    to: "[...output.matchAll(SUMMARY)].at(0)",
    tests: ["test_output"],
  },
  {
    name: "what measures runs beside what computes",
    file: "tools/test/lanes.ts",
    from: "await Promise.all([runQueue(plan.together, options.lanes, run), options.beside?.()]);",
    to: "void options.beside?.(); await runQueue(plan.together, options.lanes, run);",
    tests: ["test_lanes"],
  },
  {
    name: "attacks of a file that crashed have held",
    file: "tools/test/attacks.ts",
    from: "return isExplained ? attacks :",
    to: "return true ? attacks :",
    tests: ["test_attacks"],
  },
  {
    name: "the exit code of a job is taken for a wait that could not connect",
    file: "soak/storm/commands.ts",
    from: 'return args[0] === "wait"',
    to: 'return args[0] === "no verb"',
    tests: ["storm"],
  },
];
