// What the routes file says about reports, read as it is used.

import { expect, test } from "bun:test";
import { createAuthorizer } from "./authorize.ts";
import { reportAccessOf, reportTermsOf } from "./settings.ts";
import { faultLines, parseRoutes } from "../routes-file.ts";

const env = { TOKEN: "hunter2" };
const parse = (operator: string) => {
  const text = `operators:\n  A:\n    price: 1\n${operator.replaceAll(/^/gm, "    ")}`;
  return parseRoutes(new TextEncoder().encode(text), { env, folder: "/" });
};
const HTTP = "kind: http\nurl: http://a\n";
const SMPP = "kind: smpp\nhost: a\nsystem_id: a\npassword: { env: TOKEN }\n";
const read = (operator: string) => {
  const found = parse(operator);
  if (found.kind === "bad") throw new Error(faultLines("f", found.faults).join("\n"));
  const [spec] = found.file.operators;
  if (spec === undefined) throw new Error("it has one");
  return { terms: reportTermsOf(spec), access: reportAccessOf(spec) };
};
const faults = (operator: string): string[] => {
  const found = parse(operator);
  if (found.kind === "ok") return [];
  return faultLines("f", found.faults).map((line) => line.slice(2).replace(" operators.A.reports", ""));
};

const NOTHING_SAID = {
  timeZone: "UTC",
  idForm: "same",
  plainReceipts: false,
  template: null,
  echoesId: false,
  words: null,
  errorCodes: null,
};

test("an operator of SMPP has its own shape, whatever it says; one of HTTP that says nothing sends none", () => {
  expect(read(SMPP).terms).toEqual({ ...NOTHING_SAID, shape: "smpp", receiptParts: "each" } as never);
  expect(read(`${SMPP}receipt_parts: last\n`).terms).toMatchObject({ receiptParts: "last" });
  expect(read(`${SMPP}reports: { time_zone: Asia/Tehran, plain_receipts: true }`).terms).toMatchObject({
    shape: "smpp",
    timeZone: "Asia/Tehran",
    plainReceipts: true,
  });
  expect(read(HTTP)).toEqual({ terms: null, access: {} });
});

test("a kind that is named like a shape has it, once its entry says that it reports", () => {
  const kavenegar = "kind: kavenegar\napi_key: { env: TOKEN }\n";
  expect(read(kavenegar)).toEqual({ terms: null, access: {} });
  expect(read(`${kavenegar}reports: { secret: { env: TOKEN } }`)).toMatchObject({
    terms: { shape: "kavenegar" },
    access: { secret: "hunter2" },
  });
  expect(faults(`${kavenegar}reports: { shape: twilio, open: true }`)).toEqual([
    "6:23.shape: is kavenegar for this operator: remove the line",
  ]);
});

test("every field gets to where it is used, secrets from where they are kept", () => {
  const { terms, access } = read(`${HTTP}reports:
  shape: generic
  time_zone: Europe/Berlin
  id_form: hex_in_report
  template: { id: msg.id, our_id: ref }
  echoes_id: true
  words: { GONE: delivered }
  error_codes: { "17": absent_subscriber }
  secret: { env: TOKEN }
  addresses: [192.0.2.0/24, "2001:db8::1"]
  basic: { username: us, password: { env: TOKEN } }
  twilio_auth_token: { env: TOKEN }
  vonage_signature_secret: { env: TOKEN }
`);
  expect(terms).toEqual({
    shape: "generic",
    timeZone: "Europe/Berlin",
    idForm: "hex_in_report",
    plainReceipts: false,
    template: { id: "msg.id", our_id: "ref" },
    echoesId: true,
    words: { GONE: "delivered" },
    errorCodes: { "17": "absent_subscriber" },
  });
  expect(access).toEqual({
    secret: "hunter2",
    addresses: ["192.0.2.0/24", "2001:db8::1"],
    basic: { username: "us", password: "hunter2" },
    twilioAuthToken: "hunter2",
    vonageSignatureSecret: "hunter2",
  });
  expect(() => createAuthorizer(access)).not.toThrow();
  expect(read(`${HTTP}reports: { shape: infobip, open: true, error_codes: map }`)).toMatchObject({
    terms: { errorCodes: "map" },
    access: { open: true },
  });
});

test("reports that nobody may send are refused, and so is a shape that the kind can't have", () => {
  const admitsNobody =
    "admits nobody: give one of secret, addresses, basic, twilio_auth_token, vonage_signature_secret; or, " +
    "for development only, open: true";
  const shapes = "must be one of twilio, kavenegar, vonage, infobip, kannel, sns, generic";
  expect(faults(`${HTTP}reports: { shape: generic }`)).toEqual([`6:14: ${admitsNobody}`]);
  expect(faults(`${HTTP}reports: { shape: generic, open: false }`)).toEqual([`6:14: ${admitsNobody}`]);
  expect(faults(`${HTTP}reports: { shape: smpp, open: true }`)).toEqual([`6:23.shape: ${shapes}`]);
  expect(faults(`${HTTP}reports: { open: true }`)).toEqual([`6:14.shape: ${shapes}`]);
  expect(faults(`${SMPP}reports: { shape: twilio }`)).toEqual([
    "8:23.shape: is smpp for this operator: remove the line",
  ]);
});

test("a look-up needs an address with our id, answers that name it, and an operator of HTTP", () => {
  const ours = "template: { our_id: ref }, echoes_id: true";
  const reports = (more: string) => `${HTTP}reports: { shape: generic, open: true, ${more} }`;
  expect(faults(reports(`look_up: "http://a/{id}", ${ours}`))).toEqual([]);
  expect(faults(reports(`look_up: "http://a/{id_number}", ${ours}`))).toEqual([]);
  const secret = `look_up: "http://a/{id}?key={secret.key}", ${ours}`;
  expect(faults(`secrets: { key: { env: TOKEN } }\n${reports(secret)}`)).toEqual([]);
  expect(faults(reports(secret))).toEqual([
    "6:53.look_up: {secret.key} is not in `secrets`: name where that one is kept",
  ]);
  expect(faults(`kind: kavenegar\napi_key: { env: TOKEN }\nreports: { open: true, ${secret} }`)).toEqual([
    "6:37.look_up: has a secret: only an operator of kind http has `secrets`",
  ]);
  expect(faults(reports('look_up: "http://a/{id}"'))).toEqual([
    "6:53.look_up: needs answers that name our id: give echoes_id: true, and template: { our_id: … }",
  ]);
  for (const wrong of ["http://a/status", "ftp://a/{id}", "http://me@a/{id}", "{id}"])
    expect(faults(reports(`look_up: "${wrong}", ${ours}`))).toEqual([
      "6:53.look_up: must be an address such as https://sms.example/status/{id}, where {id} is our id",
    ]);
  expect(faults(`${SMPP}reports: { look_up: "http://a/{id}" }`)).toEqual([
    "8:25.look_up: is for operators of HTTP: remove the line",
  ]);
});

test("a wrong value is named at its place", () => {
  expect(
    faults(`${HTTP}reports:
  shape: telex
  time_zone: Mars/Olympus
  id_form: octal
  echoes_id: true
  words: { GONE: away }
  error_codes: { "17": tired }
  addresses: [192.0.2.0/33, sms.example]
  colour: red
`).map((line) => line.replace(/; the fields are .*/, "")),
  ).toEqual([
    "7:14.shape: must be one of smpp, twilio, kavenegar, vonage, infobip, kannel, sns, generic",
    "8:18.time_zone: must be the IANA name of a time zone, such as Asia/Tehran",
    "9:16.id_form: must be one of same, hex_in_response, hex_in_report",
    "10:18.echoes_id: needs the field's name: give template: { our_id: … }",
    "11:22.words.GONE: must be one of delivered, undelivered, expired, rejected, unknown, none",
    expect.stringContaining("12:28.error_codes.17: must be one of "),
    "13:19.addresses[0]: must be an address or a block of addresses, such as 192.0.2.7 or 192.0.2.0/24",
    "13:33.addresses[1]: must be an address or a block of addresses, such as 192.0.2.7 or 192.0.2.0/24",
    "14:7.colour: is not a field here",
  ]);
  expect(faults(`${HTTP}reports: { shape: generic, open: true, error_codes: gsm }`)).toEqual([
    "6:57.error_codes: must be map, or a map of its codes and ours",
  ]);
});
