// Reports as operators send them, with their right reading: test/cases/dlr-receipts.json and, in the same
// format, the cases of our own beside it. Turns each case into what the product takes: raw reports, terms,
// submits. Leaves to the tests how reports are applied: in memory, or by the real settlement.

import type { RawReport } from "../../src/core/raw-report.ts";
import { readFileSync } from "node:fs";
import { DEFAULT_TERMS, type ReportTerms } from "../../src/operators/reports/report.ts";
import type { Submission } from "../../src/operators/reports/matching.ts";
import { deliverPdu } from "./deliver-pdu.ts";

type Pdu = {
  pdu?: "deliver_sm" | "data_sm";
  source_addr?: string;
  esm_class?: number;
  data_coding?: number;
  short_message?: string;
  short_message_hex?: string;
  tlvs?: Record<string, string | number>;
  tlvs_hex?: string;
};
type Expected = { status: string; error: string | null; done_at: string | null };
type Case = {
  name: string;
  via: "smpp-text" | "smpp-tlv" | "http-form" | "http-json" | "http-query";
  given: Pdu & {
    operator?: {
      time_zone?: string;
      id_form?: ReportTerms["idForm"];
      plain_receipts?: boolean;
      template?: Record<string, string>;
    };
    peer?: ReportTerms["shape"];
    request?: { query?: string; body?: string };
    receipts?: Pdu[];
    then?: { submit_sm_resp: string };
    other_outstanding?: string[];
    /** Several submits that got one id; the phone and time are what may tell them apart. */
    submissions?: { message: string; id?: string; phone?: string; submitted_at?: string }[];
    received_from?: string;
    submitted_to?: string;
  };
  submit_id: string | string[] | null;
  expect: Expected & {
    matches: boolean;
    is_receipt?: boolean;
    message?: string;
    others?: Record<string, Expected>;
  };
  why: string;
};

export type ReceiptCase = {
  name: string;
  terms: ReportTerms;
  /** In order of arrival. */
  reports: RawReport[];
  submitted: Submit[];
  /** A submit whose answer comes after the reports. */
  later: Submit | null;
  /** The message that is meant, by the name it has in `submitted`. */
  message: string;
  expect: {
    isReport: boolean;
    matches: boolean;
    end: ExpectedEnd;
    others: { message: string; end: ExpectedEnd }[];
  };
};
export type Submit = Submission & { operator: string };
export type ExpectedEnd = { status: string; error: string | null; doneAtMs: number | null };

const OPERATOR = "op";
const OURS = "ours";
const RECEIVED_AT_MS = Date.UTC(2026, 10, 4, 18, 0, 0);
const CONTENT_TYPES = { "http-form": "application/x-www-form-urlencoded", "http-json": "application/json" };

/** The cases of one file of test/cases/. */
export function loadReceiptCases(file: string): ReceiptCase[] {
  const path = new URL(`../cases/${file}`, import.meta.url);
  const { cases } = JSON.parse(readFileSync(path, "utf8")) as { cases: Case[] };
  return cases.map(receiptCase);
}

function receiptCase({ name, via, given, submit_id, expect }: Case): ReceiptCase {
  const { operator = {}, submitted_to = OPERATOR, received_from = submitted_to } = given;
  const at = { operator: received_from, receivedAtMs: RECEIVED_AT_MS };
  const reports: RawReport[] = via.startsWith("smpp")
    ? (given.receipts ?? [given]).map((pdu) => ({ ...at, via: "smpp", pdu: pduOf(pdu) }))
    : [
        {
          ...at,
          via: "http",
          contentType: CONTENT_TYPES[via as keyof typeof CONTENT_TYPES] ?? "",
          query: given.request?.query ?? "",
          body: Buffer.from(given.request?.body ?? ""),
        },
      ];
  const submit = (operatorMessageId: string, part = 1, message = OURS): Submit => ({
    operator: submitted_to,
    operatorMessageId,
    messageId: message,
    part,
  });
  const ids = submit_id === null ? [] : [submit_id].flat();
  const others = given.other_outstanding ?? [];
  const named = given.submissions?.map((each) => ({
    ...submit(each.id ?? ids[0] ?? "", 1, each.message),
    phone: each.phone ?? null,
    submittedAtMs: each.submitted_at === undefined ? null : Date.parse(each.submitted_at),
  }));
  return {
    name,
    terms: {
      ...DEFAULT_TERMS,
      shape: given.peer ?? "smpp",
      timeZone: operator.time_zone ?? "UTC",
      idForm: operator.id_form ?? "same",
      plainReceipts: operator.plain_receipts ?? false,
      template: operator.template ?? null,
    },
    reports,
    submitted: [
      ...(named ?? ids.map((id, index) => submit(id, index + 1))),
      ...others.map((id) => submit(id, 1, id)),
    ],
    later: given.then === undefined ? null : submit(given.then.submit_sm_resp),
    message: expect.message ?? OURS,
    expect: {
      isReport: expect.is_receipt ?? true,
      matches: expect.matches,
      end: endOf(expect),
      others: Object.entries(expect.others ?? {}).map(([message, end]) => ({ message, end: endOf(end) })),
    },
  };
}

const endOf = ({ status, error, done_at }: Expected): ExpectedEnd => ({
  status,
  error,
  doneAtMs: done_at === null ? null : Date.parse(done_at),
});

function pduOf(pdu: Pdu): Uint8Array {
  return deliverPdu({
    pdu: pdu.pdu ?? "deliver_sm",
    sourceAddr: pdu.source_addr ?? "989120001234",
    destAddr: "Sluice",
    esmClass: pdu.esm_class ?? 4,
    dataCoding: pdu.data_coding ?? 0,
    shortMessage:
      pdu.short_message_hex === undefined
        ? Buffer.from(pdu.short_message ?? "", "latin1")
        : Buffer.from(pdu.short_message_hex, "hex"),
    ...(pdu.tlvs_hex === undefined ? {} : { tlvBytes: Buffer.from(pdu.tlvs_hex, "hex") }),
    tlvs: Object.entries(pdu.tlvs ?? {}).map(([name, value]) => tlvOf(name, value)),
  });
}

function tlvOf(name: string, value: string | number): [tag: number, value: Uint8Array] {
  switch (name) {
    case "receipted_message_id":
      return [0x001e, Buffer.from(`${value}\0`, "latin1")];
    case "network_error_code":
      return [0x0423, Buffer.from(String(value), "hex")];
    case "message_payload":
      return [0x0424, Buffer.from(String(value), "latin1")];
    case "message_payload_hex":
      return [0x0424, Buffer.from(String(value), "hex")];
    case "message_state":
      return [0x0427, Buffer.from([Number(value)])];
    default:
      return [Number(name), Buffer.from(String(value), "hex")];
  }
}
