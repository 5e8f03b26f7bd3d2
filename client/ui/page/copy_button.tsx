/** A button that copies a text. */
import { useState } from "preact/hooks";

/** How long it says that it has copied. */
const SAID_MS = 1_500;

interface CopyButtonProps {
  readonly text: string;
  /** What the text is, such as "the job's id". */
  readonly what: string;
}

export function CopyButton({ text, what }: CopyButtonProps) {
  const [said, setSaid] = useState<string>();
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setSaid("Copied");
    } catch {
      // Browsers have no clipboard for pages of other addresses than this machine's, or were told so.
      setSaid("Not allowed");
    }
    setTimeout(() => setSaid(undefined), SAID_MS);
  };
  return (
    <button type="button" class="copy" title={`Copy ${what}`} onClick={copy}>
      {said ?? "Copy"}
      <span class="unseen">{said === undefined ? ` ${what}` : ""}</span>
    </button>
  );
}
