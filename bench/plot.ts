// Draws a bench's series over time as an SVG file: lines on a logarithmic scale of milliseconds, with a span
// that is shaded. Only what the plots in docs/ need; a chart library would be larger than all of bench/.

type Point = readonly [second: number, ms: number];
export type PlotLine = { name: string; color: string; points: readonly Point[] };
export type Plot = {
  title: string;
  /** The span to shade, in seconds, and what it is. */
  span: { from: number; to: number; name: string };
  series: readonly PlotLine[];
};

const WIDTH = 960;
const HEIGHT = 420;
const LEFT = 70;
const RIGHT = 20;
const TOP = 60;
const BOTTOM = 50;
const MS_MIN = 10;
const TICKS_WANTED = 12;

/** The text of an SVG file. */
export function plotSvg({ title, span, series }: Plot): string {
  const all = series.flatMap(({ points }) => points);
  const lastS = Math.max(1, span.to, ...all.map(([second]) => second));
  const mostMs = 10 ** Math.ceil(Math.log10(Math.max(1_000, ...all.map(([, ms]) => ms))));
  const x = (second: number) => LEFT + (second / lastS) * (WIDTH - LEFT - RIGHT);
  const decades = Math.log10(mostMs / MS_MIN);
  const y = (ms: number) =>
    HEIGHT - BOTTOM - (Math.log10(Math.max(MS_MIN, ms) / MS_MIN) / decades) * (HEIGHT - TOP - BOTTOM);
  const text = (at: { x: number; y: number; anchor: string }, words: string, more = "") =>
    `<text x="${at.x.toFixed(1)}" y="${at.y.toFixed(1)}" text-anchor="${at.anchor}"${more}>` +
    `${escaped(words)}</text>`;
  const lines: string[] = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" ` +
      'font-family="sans-serif" font-size="13">',
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    text({ x: LEFT, y: 22, anchor: "start" }, title, ' font-size="16"'),
    `<rect x="${x(span.from).toFixed(1)}" y="${TOP}" width="${(x(span.to) - x(span.from)).toFixed(1)}" ` +
      `height="${HEIGHT - TOP - BOTTOM}" fill="#f0e6d8"/>`,
    text({ x: x(span.from) + 6, y: TOP + 16, anchor: "start" }, span.name, ' fill="#86602c"'),
  ];
  for (let ms = MS_MIN; ms <= mostMs; ms *= 10) {
    lines.push(`<path d="M${LEFT} ${y(ms).toFixed(1)}H${WIDTH - RIGHT}" stroke="#ddd"/>`);
    const words = ms < 1_000 ? `${ms} ms` : `${ms / 1_000} s`;
    lines.push(text({ x: LEFT - 8, y: y(ms) + 4, anchor: "end" }, words));
  }
  const stepS = Math.max(1, Math.ceil(lastS / TICKS_WANTED / 5) * 5);
  for (let second = 0; second <= lastS; second += stepS)
    lines.push(text({ x: x(second), y: HEIGHT - BOTTOM + 20, anchor: "middle" }, `${second} s`));
  series.forEach(({ name, color, points }, at) => {
    const path = points.map(([s, ms], n) => `${n === 0 ? "M" : "L"}${x(s).toFixed(1)} ${y(ms).toFixed(1)}`);
    lines.push(`<path d="${path.join("")}" fill="none" stroke="${color}" stroke-width="1.6"/>`);
    const legend = { x: LEFT + 22 + at * 260, y: 44, anchor: "start" };
    lines.push(`<path d="M${legend.x - 22} 40h16" stroke="${color}" stroke-width="3"/>`);
    lines.push(text(legend, name));
  });
  return `${[...lines, "</svg>"].join("\n")}\n`;
}

const escaped = (words: string): string =>
  words.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
