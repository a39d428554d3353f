// What a command_status (5.1.3) says about the submit it answers. A negative answer means not taken, so
// another try is no duplicate. Operators give the same number different meanings, so each may override the
// table.
// Invariant: every 32-bit value has a class; an unknown one is refused for now, so that others are tried.

import { hex } from "./pdu.ts";

/**
 * later: not now; the same operator may take it soon. elsewhere: the operator's or our account's fault;
 * another operator may take it. for_good: the message's fault. perhaps_taken: it must not be sent again.
 */
export const STATUS_CLASSES = ["later", "elsewhere", "for_good", "perhaps_taken"] as const;
export type StatusClass = (typeof STATUS_CLASSES)[number];

/** The statuses that the client itself acts on, or answers. */
export const STATUS = {
  ok: 0x00,
  invalidLength: 0x02,
  invalidCommand: 0x03,
  wrongBindState: 0x04,
  alreadyBound: 0x05,
  systemError: 0x08,
  bindFailed: 0x0d,
  invalidPassword: 0x0e,
  invalidSystemId: 0x0f,
  queueFull: 0x14,
  invalidSystemType: 0x53,
  throttled: 0x58,
  tryAgain: 0x64,
} as const;

type Row = { name: string; kind: StatusClass; range: readonly [from: number, to: number] };

const row = (name: string, kind: StatusClass, from: number, to = from): Row => ({
  name,
  kind,
  range: [from, to],
});

// Vendor codes without a name have one meaning at one operator and another elsewhere: most are about routes
// and credit. 0x45 and 0xFF mean anything from "account off" to "out of credit": others are tried.
export const COMMAND_STATUSES: readonly Row[] = [
  row("RINVMSGLEN", "for_good", 0x01),
  row("RINVCMDLEN", "elsewhere", 0x02),
  row("RINVCMDID", "elsewhere", 0x03),
  row("RINVBNDSTS", "later", 0x04),
  row("RALYBND", "elsewhere", 0x05),
  row("RINVPRTFLG", "for_good", 0x06),
  row("RINVREGDLVFLG", "for_good", 0x07),
  row("RSYSERR", "later", 0x08),
  // A sender that isn't allowed at one operator may be allowed at another.
  row("RINVSRCADR", "elsewhere", 0x0a),
  row("RINVDSTADR", "for_good", 0x0b),
  // On a submit it says that it is a duplicate.
  row("RINVMSGID", "perhaps_taken", 0x0c),
  row("RBINDFAIL", "elsewhere", 0x0d),
  row("RINVPASWD", "elsewhere", 0x0e),
  row("RINVSYSID", "elsewhere", 0x0f),
  row("RMSGQFUL", "later", 0x14),
  row("RINVSERTYP", "elsewhere", 0x15),
  row("network not covered", "elsewhere", 0x22),
  row("RINVDESTFLAG", "for_good", 0x43),
  row("RSUBMITFAIL", "later", 0x45),
  row("RINVSRCTON to RINVDLNAME", "for_good", 0x48, 0x51),
  row("RINVSYSTYP", "elsewhere", 0x53),
  row("RINVREPFLAG", "for_good", 0x54),
  row("RTHROTTLED", "later", 0x58),
  row("account expired", "elsewhere", 0x5a),
  row("RINVSCHED to RINVDFTMSGID", "for_good", 0x61, 0x63),
  row("RX_T_APPN", "later", 0x64),
  row("RX_P_APPN", "for_good", 0x65),
  row("RX_R_APPN", "elsewhere", 0x66),
  row("RINVTLVSTREAM to RINVTLVVAL", "for_good", 0xc0, 0xc4),
  row("RDELIVERYFAILURE", "perhaps_taken", 0xfe),
  row("RUNKNOWNERR", "later", 0xff),
  row("RSERTYPUNAUTH to RSERTYPUNAVAIL", "elsewhere", 0x100, 0x103),
  row("RSERTYPDENIED", "for_good", 0x104),
  row("vendor's", "elsewhere", 0x400, 0x4ff),
];

/** By status; an operator's own classes come first. */
export type StatusOverrides = ReadonlyMap<number, StatusClass>;

export function classOf(status: number, overrides: StatusOverrides): StatusClass {
  return overrides.get(status) ?? rowOf(status)?.kind ?? "elsewhere";
}

/** For logs and reasons: "0x58 RTHROTTLED". */
export function statusText(status: number): string {
  const name = rowOf(status)?.name;
  return name === undefined ? hex(status) : `${hex(status)} ${name}`;
}

const rowOf = (status: number): Row | undefined =>
  COMMAND_STATUSES.find(({ range: [from, to] }) => status >= from && status <= to);

/** These repeat until someone corrects the settings, and repeated attempts lock accounts. */
export const isCredentialStatus = (status: number): boolean =>
  status === STATUS.invalidPassword ||
  status === STATUS.invalidSystemId ||
  status === STATUS.invalidSystemType;

const PUTS_OFF: readonly number[] = [
  STATUS.wrongBindState,
  STATUS.systemError,
  STATUS.queueFull,
  STATUS.throttled,
  STATUS.tryAgain,
];

/**
 * Whether the operator may send a receipt on the submit that it refused like this, by an id that nobody
 * knows. Some do after 0x45, and no other status rules it out but those that only put the submit off: by the
 * specification, or because its own classes say `later`. The table's `later` is too weak for that: 0x45 is.
 */
export const mayBeReported = (status: number, overrides: StatusOverrides): boolean =>
  status !== STATUS.ok && !PUTS_OFF.includes(status) && overrides.get(status) !== "later";

/** The operator wants fewer submits. */
export const isThrottling = (status: number): boolean =>
  status === STATUS.throttled || status === STATUS.queueFull;
