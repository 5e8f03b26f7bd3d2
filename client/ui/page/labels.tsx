/** A job's labels, each a link to the jobs that have it. */
import { escapeUnprintable } from "../../../common/printable.ts";
import { type Filter, linkTo } from "./route.ts";
import { joinWords, QuoteError, splitWords } from "./words.ts";

interface LabelsProps {
  readonly labels: Readonly<Record<string, string>>;
  /** What else the jobs are filtered by. */
  readonly filter: Filter;
}

export function Labels({ labels, filter }: LabelsProps) {
  const texts = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  if (texts.length === 0) return null;
  return (
    <span class="tags">
      {texts.map((text) => (
        <a
          key={text}
          class="tag"
          title="Jobs with this label"
          href={linkTo({
            view: "jobs",
            filter: { ...filter, label: joinWords([text]), pages: [] },
          })}
        >
          {escapeUnprintable(text)}
        </a>
      ))}
    </span>
  );
}

/** The complete labels in a text that is being typed. */
export function labelsOf(text: string): string[] {
  try {
    return splitWords(text).filter((word) => word.indexOf("=") > 0);
  } catch (error) {
    if (error instanceof QuoteError) return [];
    throw error;
  }
}
