/** The view that the address names now. */
import { useEffect, useState } from "preact/hooks";
import { linkTo, parseRoute, type Route } from "./route.ts";

/** Changes the address: `isTyped` by a letter, which is no step to go back by. */
export type Navigate = (route: Route, options?: { readonly isTyped: boolean }) => void;

export function useRoute(): readonly [Route, Navigate] {
  const [route, setRoute] = useState(() => parseRoute(location.hash));
  useEffect(() => {
    const follow = () => setRoute(parseRoute(location.hash));
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  return [route, navigate];

  function navigate(next: Route, { isTyped } = { isTyped: false }): void {
    // The browser tells of no change that replaces an address.
    if (isTyped) history.replaceState(null, "", linkTo(next));
    else location.hash = linkTo(next);
    setRoute(next);
  }
}
