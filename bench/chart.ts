import { type Entry, type EntryName, entries } from "./plan.ts";
import { over, type Round, ratioOf, type Spread } from "./stats.ts";

const WIDTH = 860;
const LEFT = 250;
const BAR = 22;
const STEP = 36;
const SPAN = 430;

/** Readable on white and on black: an image in a page follows the reader's own scheme. */
const STYLE = `
    text { font: 13px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #24292f }
    .title { font-size: 16px; font-weight: 600 } .soft { fill: #57606a; font-size: 12px } .own { font-weight: 600 }
    .ours { fill: #0a7d6c } .theirs { fill: #a3adb8 } .node { fill: #3b7ddd } .postgres { fill: #8a5fd0 } .redis { fill: #d1543f }
    .line { stroke: #24292f; stroke-width: 1.5 } .grid { stroke: #d0d7de; stroke-width: 1 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 } .soft { fill: #9198a1 } .ours { fill: #2bb8a0 } .theirs { fill: #59636e } .node { fill: #5b9bf3 } .postgres { fill: #a988e6 }
      .redis { fill: #e8705b } .line { stroke: #e6edf3 } .grid { stroke: #3d444d }
    }`;

const shown: readonly EntryName[] = ["engine", "floor", "bullmqChunk", "pgboss", "graphile", "bullmq"];
const escaped = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
const whole = (value: number) => Math.round(value).toLocaleString("en");
const px = (value: number) => String(Math.round(value * 10) / 10);

interface Bar {
  readonly name: EntryName;
  readonly label: string;
  readonly speed: Spread;
  readonly ratio: Spread | null;
  readonly parts: readonly { readonly kind: "node" | "postgres" | "redis"; readonly us: number }[];
}

function barsOf(rounds: readonly Round[]): Bar[] {
  return shown.flatMap((name) => {
    const speed = over(rounds, name, (trial) => trial.perSecond);
    if (speed === null) return [];
    const us = (figure: "nodeCpuUs" | "postgresCpuUs" | "redisCpuUs") => over(rounds, name, (trial) => trial[figure])?.median ?? 0;
    const parts = [
      { kind: "node" as const, us: us("nodeCpuUs") },
      { kind: "postgres" as const, us: us("postgresCpuUs") },
      { kind: "redis" as const, us: us("redisCpuUs") },
    ];
    const ratio = name === "engine" ? null : ratioOf(rounds, { ours: "engine", theirs: name });
    return [{ name, label: (entries[name] as Entry).label, speed, ratio, parts: parts.filter((part) => part.us >= 0.5) }];
  });
}

/** A round step of a scale that has about four of them. */
function stepOf(max: number): number {
  const power = 10 ** Math.floor(Math.log10(max / 4));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => max / step <= 5) ?? max;
}

function gridOf(max: number, { top, bars }: { top: number; bars: number }): string {
  const step = stepOf(max);
  const lines = Array.from({ length: Math.floor(max / step) + 1 }, (_, i) => i * step);
  return lines
    .map((value) => {
      const x = px(LEFT + (value / max) * SPAN);
      const y = top + bars * STEP;
      return `<line class="grid" x1="${x}" y1="${top - 6}" x2="${x}" y2="${y}"/><text class="soft" x="${x}" y="${y + 15}" text-anchor="middle">${whole(value)}</text>`;
    })
    .join("\n  ");
}

const labelAt = ({ name, label }: Bar, y: number) =>
  `<text class="${name === "engine" ? "own" : ""}" x="${LEFT - 10}" y="${y + 16}" text-anchor="end">${escaped(label)}</text>`;

function speedPanel(bars: readonly Bar[], top: number): string {
  const max = Math.max(...bars.map(({ speed }) => speed.max)) * 1.02;
  const x = (value: number) => LEFT + (value / max) * SPAN;
  const rows = bars.map((bar, at) => {
    const y = top + at * STEP;
    const { speed, ratio, name } = bar;
    const times =
      ratio === null ? "" : `<tspan class="soft" dx="8">Campanile × ${ratio.median < 10 ? ratio.median.toFixed(2) : whole(ratio.median)}</tspan>`;
    return `${labelAt(bar, y)}
  <rect class="${name === "engine" ? "ours" : "theirs"}" x="${LEFT}" y="${y}" width="${px(x(speed.median) - LEFT)}" height="${BAR}" rx="3"/>
  <line class="line" x1="${px(x(speed.min))}" y1="${y + BAR / 2}" x2="${px(x(speed.max))}" y2="${y + BAR / 2}"/>
  <text x="${px(x(speed.max) + 8)}" y="${y + 16}">${whole(speed.median)}${times}</text>`;
  });
  return `${gridOf(max, { top, bars: bars.length })}\n  ${rows.join("\n  ")}`;
}

function cpuPanel(bars: readonly Bar[], top: number): string {
  const total = ({ parts }: Bar) => parts.reduce((sum, part) => sum + part.us, 0);
  const max = Math.max(...bars.map(total)) * 1.02;
  const rows = bars.map((bar, at) => {
    const y = top + at * STEP;
    let from = LEFT;
    const pieces = bar.parts.map(({ kind, us }) => {
      const width = (us / max) * SPAN;
      from += width;
      return `<rect class="${kind}" x="${px(from - width)}" y="${y}" width="${px(width)}" height="${BAR}"/>`;
    });
    return `${labelAt(bar, y)}\n  ${pieces.join("")}\n  <text x="${px(from + 8)}" y="${y + 16}">${total(bar).toFixed(0)} µs</text>`;
  });
  return `${gridOf(max, { top, bars: bars.length })}\n  ${rows.join("\n  ")}`;
}

function legendAt(y: number): string {
  const kinds = [
    ["node", "Node"],
    ["postgres", "Postgres"],
    ["redis", "Redis"],
  ] as const;
  return kinds
    .map(
      ([kind, label], at) =>
        `<rect class="${kind}" x="${LEFT + 110 + at * 92}" y="${y - 11}" width="12" height="12" rx="2"/><text class="soft" x="${LEFT + 128 + at * 92}" y="${y}">${label}</text>`,
    )
    .join("");
}

/** docs/bench.svg; null when there is nothing to show. */
export function chartOf(rounds: readonly Round[], captions: readonly string[]): string | null {
  const bars = barsOf(rounds).sort((a, b) => b.speed.median - a.speed.median);
  if (bars.length === 0) return null;
  const panel = bars.length * STEP;
  const second = 62 + panel + 74;
  const height = second + panel + 44 + 18 * captions.length;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="Messages per second, and CPU per message">
  <style>${STYLE}
  </style>
  <text class="title" x="20" y="28">Messages per second, each recorded durably (more is better)</text>
  ${speedPanel(bars, 50)}
  <text class="title" x="20" y="${second - 22}">CPU per message (less is better)</text>
  ${legendAt(second - 22 + 0.5)}
  ${cpuPanel(bars, second)}
  ${captions.map((caption, at) => `<text class="soft" x="20" y="${height - 14 - 18 * (captions.length - 1 - at)}">${escaped(caption)}</text>`).join("\n  ")}
</svg>
`;
}
