// What `up` prints once a message would reach the report: the API's address, the demo key, and lines to
// paste.

import { relative, resolve } from "node:path";
import type { Config } from "../../platform/config.ts";
import { certificateFile } from "../edge.ts";

/** All demo operators refuse this phone (src/stack/operator-ends.ts): its message fails and is refunded. */
const refusedPhone = "+989129990001";
/** One that they report as delivered (the same). */
const deliveredPhone = "+989129990004";

/** The demo customer, its API key, and the file in which the key is kept. */
export type Demo = { customerId: number; apiKey: string; keyFile: string };

export function welcome(config: Config, demo: Demo, edge: boolean): string {
  const { apiKey, customerId } = demo;
  const keyFile = relative(process.cwd(), demo.keyFile);
  const api = `http://${config.apiHost}:${config.apiPort}`;
  const headers = `-H 'X-API-Key: ${apiKey}' -H 'Content-Type: application/json'`;
  const post = (route: string, body: object) =>
    `curl -sS -w '\\n' ${api}${route} ${headers} -d '${JSON.stringify(body)}'`;
  const send = (phone: string) => post("/v1/sms/send", { phone, text: "Hello from Sluice", type: "normal" });
  return [
    "",
    `Sluice is ready: ${api}`,
    ...(edge ? [edgeLine(config)] : []),
    `The admin API: http://${config.adminHost}:${config.adminPort} (./sluice admin-token create NAME)`,
    `Demo customer ${customerId}, API key: ${apiKey} (kept in ${keyFile})`,
    "",
    "# top up the wallet",
    post("/v1/wallet/topup", { amount: 100_000, request_id: `demo-${Date.now()}` }),
    "# send a message",
    send("+989121234567"),
    "# send one that every operator refuses: it ends as failed and is refunded",
    send(refusedPhone),
    "# send one that is reported as delivered a second later",
    send(deliveredPhone),
    "# read the report (fresh within seconds) and the wallet",
    `curl -sS -w '\\n' ${api}/v1/reports/messages -H 'X-API-Key: ${apiKey}'`,
    `curl -sS -w '\\n' ${api}/v1/wallet -H 'X-API-Key: ${apiKey}'`,
    "",
  ].join("\n");
}

const edgeLine = ({ edgeHost, edgePort, edgeTlsPort, stateFolder }: Config): string =>
  `The edge: http://${edgeHost}:${edgePort} and https://${edgeHost}:${edgeTlsPort} ` +
  `(curl --cacert ${relative(process.cwd(), resolve(certificateFile(stateFolder)))})`;
