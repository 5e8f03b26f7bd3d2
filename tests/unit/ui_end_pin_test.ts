/** What scrolling means to a page that follows a job's output. */
import assert from "node:assert/strict";
import { EndPin } from "../../client/ui/page/end_pin.ts";

const HEIGHTS = { scrollHeight: 1000, clientHeight: 200 };

/** A pane of 1000 px with 200 in sight, scrolled that far; its end is at 800. */
const at = (scrollTop: number, heights = {}) => ({ ...HEIGHTS, ...heights, scrollTop });

const CASES:
  readonly (readonly [what: string, from: number, to: ReturnType<typeof at>, unknown])[] = [
    ["a turn of the wheel upwards leaves the end", 800, at(700), "left"],
    ["so does a small one, which the next line would undo", 800, at(795), "left"],
    ["what the page scrolls itself means nothing", 800, at(800), undefined],
    ["nor does a fraction of a pixel", 800, at(798.6), undefined],
    [
      "a pane that became higher takes the end along",
      800,
      at(700, { clientHeight: 300 }),
      undefined,
    ],
    ["lines that became fewer, too", 800, at(500, { scrollHeight: 700 }), undefined],
    ["down, but not to the end", 300, at(600), undefined],
    ["down to the end", 300, at(790), "reached"],
    ["up, from somewhere", 300, at(100), "left"],
  ];
for (const [what, from, to, expected] of CASES) {
  Deno.test(`EndPin: ${what}`, () => {
    const pin = new EndPin();
    pin.placed(at(from));
    assert.equal(pin.moved(to), expected);
  });
}

Deno.test("EndPin: counts from where the reader is", () => {
  const pin = new EndPin();
  pin.placed(at(800));
  assert.deepEqual([400, 500, 450, 780].map((top) => pin.moved(at(top))), [
    "left",
    undefined,
    "left",
    "reached",
  ]);
});
