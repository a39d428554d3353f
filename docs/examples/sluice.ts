// Sluice by its TypeScript client: sends a message and waits for its status, or verifies a webhook.
//   SLUICE_URL=… SLUICE_KEY=… node sluice.ts send +989121234567 "Hello"
//   WEBHOOK_SECRET=… WEBHOOK_ID=… WEBHOOK_TIMESTAMP=… WEBHOOK_SIGNATURE=… node sluice.ts verify <body
// Needs Node 24 or Bun.

import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { createSluice } from "../../clients/typescript/sluice.ts";
import { verifyWebhook, WebhookRefused } from "../../clients/typescript/webhook.ts";

const env = (name: string): string => process.env[name] ?? "";

/** The client repeats what got no answer, a 429 or a 503, under one Idempotency-Key. */
async function send(phone: string, body: string): Promise<void> {
  const sluice = createSluice({ baseUrl: env("SLUICE_URL"), apiKey: env("SLUICE_KEY") });
  const { id } = await sluice.send({ phone, text: body, type: "normal" });
  let { status } = await sluice.message(id);
  for (let n = 0; n < 60 && (status === "queued" || status === "sending"); n++) {
    await sleep(500);
    ({ status } = await sluice.message(id));
  }
  console.log(id, status);
}

async function verify(): Promise<void> {
  const headers = {
    "webhook-id": env("WEBHOOK_ID"),
    "webhook-timestamp": env("WEBHOOK_TIMESTAMP"),
    "webhook-signature": env("WEBHOOK_SIGNATURE"),
  };
  const event = await verifyWebhook(await text(process.stdin), headers, env("WEBHOOK_SECRET"));
  if (event.type === "message.status") console.log(event.data.id, event.data.status);
}

const [, , command, phone = "", body = ""] = process.argv;
try {
  if (command === "send") await send(phone, body);
  else if (command === "verify") await verify();
  else {
    console.error("usage: sluice.ts send PHONE TEXT | verify");
    process.exitCode = 64;
  }
} catch (error) {
  console.error(error instanceof WebhookRefused ? `refused: ${error.message}` : error);
  process.exitCode = 1;
}
