/** The title of the browser's window or tab. */
import { useEffect } from "preact/hooks";
import { escapeUnprintable } from "../../../common/printable.ts";

/** @param what What is shown; undefined: it is not known yet. */
export function useTitle(what: string | undefined, server: string | undefined): void {
  useEffect(() => {
    if (what === undefined) return;
    const title = server === undefined ? what : `${what} on ${server}`;
    document.title = escapeUnprintable(title);
  }, [what, server]);
}
