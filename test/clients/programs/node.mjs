// Node: fetch, node:http with a trailer, and undici with three requests at a time on one connection.

import { request as httpRequest } from "node:http";
import { connect } from "node:http2";
import { readFileSync } from "node:fs";
import { Client } from "undici";

const { SLUICE_URL, SLUICE_TLS_URL, SLUICE_CA, SLUICE_KEY, SLUICE_PREFIX } = process.env;
const path = "/v1/sms/send";

function message(client, name, n) {
  const reference = `${SLUICE_PREFIX}/${client}/${name}/${n}`;
  const headers = {
    "x-api-key": SLUICE_KEY,
    "content-type": "application/json",
    "idempotency-key": reference,
  };
  const body = JSON.stringify({ phone: "+989121234567", text: "x", type: "normal", reference });
  return { headers, body };
}

/** `send` resolves with a status; a request without an answer counts as 0. */
async function run(client, name, send, atOnce = false) {
  const one = (n) => send(message(client, name, n)).catch(() => 0);
  const statuses = [];
  if (atOnce) statuses.push(...(await Promise.all([1, 2, 3].map(one))));
  else for (const n of [1, 2, 3]) statuses.push(await one(n));
  console.log(JSON.stringify({ client, case: name, statuses }));
}

async function byFetch({ headers, body }) {
  const streamed = typeof body === "string" ? {} : { duplex: "half" };
  const answer = await fetch(SLUICE_URL + path, { method: "POST", headers, body, ...streamed });
  await answer.arrayBuffer();
  return answer.status;
}
await run("fetch", "plain", byFetch);
await run("fetch", "chunked", ({ headers, body }) => byFetch({ headers, body: new Blob([body]).stream() }));
await run("fetch", "at-once", byFetch, true);

await run(
  "node:http",
  "trailer",
  ({ headers, body }) =>
    new Promise((resolve, reject) => {
      const options = { method: "POST", headers: { ...headers, trailer: "x-sum", "transfer-encoding": "chunked" } };
      const request = httpRequest(SLUICE_URL + path, options, (answer) => {
        answer.resume().on("end", () => resolve(answer.statusCode)).on("error", reject);
      });
      request.on("error", reject).setTimeout(20_000, () => request.destroy());
      request.write(body);
      request.addTrailers({ "x-sum": "1" });
      request.end();
    }),
);

const undici = new Client(SLUICE_URL, { pipelining: 3 });
const byUndici = async ({ headers, body }) => {
  const answer = await undici.request({ method: "POST", path, headers, body, idempotent: true, blocking: false });
  await answer.body.dump();
  return answer.statusCode;
};
await run("undici", "pipelining", byUndici, true);
await undici.destroy();

if (SLUICE_TLS_URL) {
  const session = connect(SLUICE_TLS_URL, { ca: readFileSync(SLUICE_CA) });
  const byHttp2 = ({ headers, body }) =>
    new Promise((resolve, reject) => {
      const stream = session.request({ ":method": "POST", ":path": path, ...headers });
      let status = 0;
      stream.on("response", (answer) => (status = answer[":status"]));
      stream.on("data", () => undefined).on("end", () => resolve(status)).on("error", reject);
      stream.end(body);
    });
  await run("node:http2", "tls-at-once", byHttp2, true);
  session.close();
}
