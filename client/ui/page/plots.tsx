/** A running job's resource usage over time. */
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { bytesText } from "./facts.ts";
import type { UsageSample } from "./usage_history.ts";

/** One plot. */
interface PlotSpec {
  readonly title: string;
  readonly lines: readonly {
    readonly label: string;
    readonly colour: string;
    readonly value: (sample: UsageSample) => number | null;
  }[];
  readonly text: (value: number) => string;
  /** The least upper end of the axis. */
  readonly least: number;
  /** Between two marks of the axis; uPlot's own choice where there are none. */
  readonly steps?: number[];
}

const percent = (value: number) => `${Math.round(value)} %`;
const rate = (value: number) => `${bytesText(value)}/s`;

/** Steps of the axis for bytes: round numbers of KiB and MiB. */
const BINARY_STEPS = Array.from({ length: 50 }, (_, power) => 2 ** power);

/** A 24-hour clock in the local time zone. */
const CLOCK = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

const PLOTS: readonly PlotSpec[] = [
  {
    title: "CPU",
    lines: [{ label: "CPU", colour: "--plot-1", value: ({ cpuPercent }) => cpuPercent }],
    text: percent,
    least: 10,
  },
  {
    title: "Memory",
    lines: [{ label: "memory", colour: "--plot-2", value: ({ memoryBytes }) => memoryBytes }],
    text: bytesText,
    least: 1024 ** 2,
    steps: BINARY_STEPS,
  },
  {
    title: "Disk",
    lines: [
      { label: "read", colour: "--plot-1", value: (sample) => sample.readBytesPerSecond },
      { label: "written", colour: "--plot-3", value: (sample) => sample.writtenBytesPerSecond },
    ],
    text: rate,
    least: 1024,
    steps: BINARY_STEPS,
  },
];

const HEIGHT_PX = 104;

/** Plots of all counters. */
export function Plots({ samples }: { readonly samples: readonly UsageSample[] }) {
  // The list is always the same object; its last entry shows whether there is a new sample.
  const lastMs = samples.at(-1)?.atMs ?? 0;
  return (
    <section class="plots" aria-label="Use over time">
      {PLOTS.map((spec) => <Plot key={spec.title} spec={spec} samples={samples} lastMs={lastMs} />)}
    </section>
  );
}

interface PlotProps {
  readonly spec: PlotSpec;
  readonly samples: readonly UsageSample[];
  readonly lastMs: number;
}

function Plot({ spec, samples, lastMs }: PlotProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  useEffect(() => {
    const element = place.current;
    if (element === null) return;
    const make = () => {
      plot.current?.destroy();
      plot.current = new uPlot(optionsOf(spec, element), dataOf(spec, samples), element);
    };
    make();
    const size = new ResizeObserver(() => {
      plot.current?.setSize({ width: element.clientWidth, height: HEIGHT_PX });
    });
    size.observe(element);
    // Colours are read when a plot is made.
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", make);
    return () => {
      size.disconnect();
      scheme.removeEventListener("change", make);
      plot.current?.destroy();
    };
  }, [spec, samples]);
  useEffect(() => plot.current?.setData(dataOf(spec, samples)), [lastMs]);
  const last = samples.at(-1);
  const texts = spec.lines.map(({ label, value }) => {
    const now = last === undefined ? null : value(last);
    return `${spec.lines.length > 1 ? `${label} ` : ""}${now === null ? "-" : spec.text(now)}`;
  });
  return (
    <figure class="plot">
      <figcaption>
        {spec.title}
        <span class="now">
          {texts.map((text, index) => (
            <span key={index} class={`series series-${spec.lines[index]?.colour.slice(-1)}`}>
              {text}
            </span>
          ))}
        </span>
      </figcaption>
      <div ref={place} class="canvas" />
    </figure>
  );
}

function dataOf(spec: PlotSpec, samples: readonly UsageSample[]): uPlot.AlignedData {
  return [
    samples.map(({ atMs }) => atMs / 1000),
    ...spec.lines.map(({ value }) => samples.map(value)),
  ];
}

function optionsOf(spec: PlotSpec, element: HTMLElement): uPlot.Options {
  const style = getComputedStyle(element);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const axis: uPlot.Axis = {
    stroke: colour("--faint"),
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { show: false },
    font: "11px system-ui, sans-serif",
  };
  return {
    width: element.clientWidth,
    height: HEIGHT_PX,
    legend: { show: false },
    cursor: { show: false },
    scales: {
      x: { range: (_plot, least, most) => [least, Math.max(most, least + 30)] },
      y: { range: (_plot, _least, most) => [0, Math.max(spec.least, (most ?? 0) * 1.1)] },
    },
    axes: [
      {
        ...axis,
        space: 70,
        size: 24,
        values: (_plot, seconds) => seconds.map((second) => CLOCK.format(second * 1000)),
      },
      {
        ...axis,
        size: 66,
        space: 28,
        ...(spec.steps && { incrs: spec.steps }),
        values: (_plot, ticks) => ticks.map(spec.text),
      },
    ],
    series: [
      {},
      ...spec.lines.map(({ label, colour: name }) => ({
        label,
        stroke: colour(name),
        width: 1.5,
        points: { show: false },
      })),
    ],
  };
}
