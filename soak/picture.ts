/** Draws a soak's samples over time. */
import type { Sample } from "./sample.ts";

const WIDTH = 900;
const PANEL_HEIGHT = 150;
const MARGIN = { left: 70, right: 20, top: 30, bottom: 10 } as const;
const FOOTER_HEIGHT = 30;

const PANELS: readonly (readonly [title: string, value: (sample: Sample) => number])[] = [
  ["resident memory, MiB", ({ residentBytes }) => residentBytes / 1024 ** 2],
  ["file descriptors", ({ descriptors }) => descriptors],
  ["threads", ({ threads }) => threads],
  ["worker-client query, whole process, ms", ({ queryMs }) => queryMs],
];

/** The samples as an SVG picture, a panel for each quantity; each begins at 0. */
export function draw(samples: readonly Sample[]): string {
  const height = PANELS.length * PANEL_HEIGHT + FOOTER_HEIGHT;
  const endSeconds = samples.at(-1)?.atSeconds ?? 0;
  const panels = PANELS.map(([title, value], index) => {
    const points = samples.map((sample) => ({ x: sample.atSeconds, y: value(sample) }));
    return drawPanel(title, points, { top: index * PANEL_HEIGHT, endSeconds });
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" ` +
    `font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="white"/>\n` +
    `${panels.join("\n")}\n` +
    `<text x="${WIDTH - MARGIN.right}" y="${height - 10}" text-anchor="end">` +
    `${endSeconds.toFixed(0)} s</text>\n</svg>\n`;
}

function drawPanel(
  title: string,
  points: readonly { x: number; y: number }[],
  { top, endSeconds }: { top: number; endSeconds: number },
): string {
  const highest = Math.max(1, ...points.map(({ y }) => y));
  const [left, right] = [MARGIN.left, WIDTH - MARGIN.right];
  const [ceiling, floor] = [top + MARGIN.top, top + PANEL_HEIGHT - MARGIN.bottom];
  const place = ({ x, y }: { x: number; y: number }) =>
    [
      left + (right - left) * x / Math.max(1, endSeconds),
      floor - (floor - ceiling) * y / highest,
    ].map((value) => value.toFixed(1)).join(",");
  return [
    `<text x="${left}" y="${ceiling - 10}">${title}</text>`,
    `<text x="${left - 8}" y="${ceiling + 4}" text-anchor="end">${highest.toFixed(0)}</text>`,
    `<text x="${left - 8}" y="${floor + 4}" text-anchor="end">0</text>`,
    `<path d="M${left},${ceiling} V${floor} H${right}" fill="none" stroke="gray"/>`,
    `<polyline points="${points.map(place).join(" ")}" fill="none" stroke="steelblue"/>`,
  ].join("\n");
}
