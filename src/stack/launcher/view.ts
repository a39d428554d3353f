// What `up` shows: on a terminal the events, and below them a table of all processes that is redrawn when it
// changes; elsewhere only the events, as plain lines. Never reads stdin.

import { isatty } from "node:tty";
import type { View } from "./supervisor.ts";

export type StatusView = {
  /** Prints an event: one or more lines that stay. */
  line(text: string): void;
  /** Updates the table; only a terminal shows it. */
  show(views: readonly View[]): void;
  /** Removes the table and shows none from now on. */
  hold(): void;
};

type Terminal = { write(text: string): unknown; columns?: number; fd?: number };

export function createView(out: Terminal, isTerminal = isatty(out.fd ?? 1)): StatusView {
  let table: string[] = [];
  const startedAtMs = performance.now();

  // Moves up to the top of the table and clears to the end of the screen (ECMA-48: CUU, ED).
  const erase = (): string => (table.length === 0 ? "" : `\x1b[${table.length}A\x1b[J`);

  return {
    line(text) {
      if (!isTerminal) return void out.write(`${text}\n`);
      out.write(`${erase()}${text}\n${table.map((row) => `${row}\n`).join("")}`);
    },
    show(views) {
      if (!isTerminal) return;
      const rows = tableRows(views, Math.floor((performance.now() - startedAtMs) / 1000), out.columns ?? 80);
      if (rows.join("\n") === table.join("\n")) return;
      out.write(`${erase()}${rows.map((row) => `${row}\n`).join("")}`);
      table = rows;
    },
    hold() {
      if (isTerminal) out.write(erase());
      table = [];
    },
  };
}

const colors = { ready: "\x1b[32m", starting: "\x1b[33m", unready: "\x1b[33m", down: "\x1b[31m" } as const;
const words = { ready: "ready", starting: "starting", unready: "not ready", down: "down" } as const;

/** The table's rows, none wider than the terminal, because wrapped rows would break redrawing. */
export function tableRows(views: readonly View[], upS: number, columns: number): string[] {
  const ready = views.filter(({ state }) => state === "ready").length;
  const head = `── ${ready} of ${views.length} ready · up ${upS} s · Ctrl-C stops everything `;
  const rows = views.map(({ spec, state, pid, restarts }) => {
    const cells = [
      spec.name.padEnd(16),
      words[state].padEnd(10),
      (pid === null ? "-" : String(pid)).padStart(8),
      String(spec.port ?? "-").padStart(7),
      restarts === 0 ? "" : `  restarted ${restarts}×`,
    ];
    const row = cells.join(" ").slice(0, columns - 2);
    return `  ${colors[state]}${row}\x1b[0m`;
  });
  return [head.padEnd(Math.min(columns, 72), "─").slice(0, columns), ...rows];
}
