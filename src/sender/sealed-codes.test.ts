// Codes between a sender and an operator: the operator gets the text with the code, and nobody hears it back.

import { expect, test } from "bun:test";
import type { LaneRecord } from "../core/lane-record.ts";
import { createOtpSecret, type OtpSecret, purposeOfMessage } from "../core/otp-secret.ts";
import { createCodeOf, reportWithoutCode, withoutCode, withText } from "./sealed-codes.ts";

const secret = createOtpSecret("a secret that is long enough for it") as OtpSecret;
const plain = { customerId: 1, phone: "+989121234567", text: "code: {code}" } as LaneRecord;
const message: LaneRecord = { ...plain, sealedCode: secret.seal("4711", purposeOfMessage(plain)) };
const codeOf = createCodeOf(secret);
const refusedWith = (reason: string) => ({ kind: "refused", permanent: true, reason }) as const;

test("a message's code is opened with the secret that sealed it, under its own number", () => {
  expect(codeOf(message)).toBe("4711");
  expect(codeOf({ ...message, phone: "+989121234568" })).toBeNull();
  expect(codeOf(plain)).toBeNull();
  expect(createCodeOf(createOtpSecret("another secret, as long as the first"))(message)).toBeNull();
  expect(createCodeOf(null)(message)).toBeNull();
});

test("only the copy for the operator has the code", () => {
  expect(withText(message, "4711").text).toBe("code: 4711");
  expect(message.text).toBe("code: {code}");
});

test("what an operator says is passed on without the code", () => {
  const refused = refusedWith("400 bad text: code: 4711 (4711)");
  expect(withoutCode(refused, "4711").reason).toBe("400 bad text: code: {code} ({code})");
  const accepted = { kind: "accepted", operatorMessageIds: ["4711"] } as const;
  expect(withoutCode(accepted, "4711")).toEqual(accepted);
});

test("so is what it says later", () => {
  const refused = refusedWith("no: 4711");
  const report = reportWithoutCode(codeOf, withText(message, "4711"), refused);
  expect(report.answer.reason).toBe("no: {code}");
  expect(JSON.stringify(report)).not.toContain("4711");
  expect(reportWithoutCode(codeOf, plain, refused)).toEqual({ message: plain, answer: refused });
});
