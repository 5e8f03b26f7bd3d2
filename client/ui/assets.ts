/** The page itself, as tools/page.ts has bundled it from client/ui/page/. */
import script from "../../build/gen/page/main.js" with { type: "text" };
import style from "../../build/gen/page/main.css" with { type: "text" };
import markup from "./page/index.html" with { type: "text" };

/** What a GET finds. */
export const ASSETS: ReadonlyMap<string, { readonly type: string; readonly text: string }> =
  new Map([
    ["/", { type: "text/html; charset=utf-8", text: markup }],
    ["/main.js", { type: "text/javascript; charset=utf-8", text: script }],
    ["/main.css", { type: "text/css; charset=utf-8", text: style }],
  ]);
