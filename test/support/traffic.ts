// Steady traffic against a running gateway, as a careful client sends it: it remembers the messages answered
// with 202 and only counts the others.

import { sleep } from "../../src/platform/retry.ts";

export type Traffic = {
  /** The ids answered with 202 so far. */
  accepted(): string[];
  /** Answers by status; 0: no answer came. */
  answers(): ReadonlyMap<number, number>;
  /** Stops sending, and resolves when every request has been answered or given up. */
  stop(): Promise<void>;
};

const ANSWER_MAX_MS = 20_000;

/** Runs `lanes` concurrent clients; each sends its next request `pauseMs` after its last answer. */
export function startTraffic(options: {
  url: string;
  apiKey: string;
  clients: number;
  pauseMs: number;
}): Traffic {
  const accepted: string[] = [];
  const answers = new Map<number, number>();
  let stopping = false;
  let sent = 0;
  const one = async () => {
    const n = sent++;
    const phone = `+98912${String(1_000_000 + (n % 8_000_000)).padStart(7, "0")}`;
    const type = n % 4 === 0 ? "express" : "normal";
    const status = await fetch(`${options.url}/v1/sms/send`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-api-key": options.apiKey },
      body: JSON.stringify({ phone, text: `message ${n}`, type }),
      signal: AbortSignal.timeout(ANSWER_MAX_MS),
    }).then(
      async (answer) => {
        const body = (await answer.json()) as { id: string };
        if (answer.status === 202) accepted.push(body.id);
        return answer.status;
      },
      () => 0,
    );
    answers.set(status, (answers.get(status) ?? 0) + 1);
  };
  const client = async () => {
    while (!stopping) {
      await one();
      await sleep(options.pauseMs);
    }
  };
  const clients = Promise.all(Array.from({ length: options.clients }, client));
  return {
    accepted: () => accepted,
    answers: () => answers,
    async stop() {
      stopping = true;
      await clients;
    },
  };
}
