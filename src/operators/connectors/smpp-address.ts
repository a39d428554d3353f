// Addresses as SMPP has them: type of number (TON) and numbering plan (NPI) by the form of an address (5.2.5,
// 5.2.6). Operators differ, so each form's types may be set.

export const ADDRESS_FORMS = ["international", "number", "short", "name", "none"] as const;
type Form = (typeof ADDRESS_FORMS)[number];
type Types = { ton: number; npi: number };
/** What replaces the usual types of a form. */
export type AddressTypes = { [form in Form]?: Types | undefined };
export type Address = Types & { address: string };

const USUAL: Record<Form, Types> = {
  international: { ton: 1, npi: 1 },
  /** Neither international nor short: the operator knows what it is. */
  number: { ton: 0, npi: 1 },
  /** Network specific. */
  short: { ton: 3, npi: 0 },
  name: { ton: 5, npi: 0 },
  /** No source address: the operator's own. */
  none: { ton: 0, npi: 0 },
};
const SHORT_DIGITS_MAX = 8;

/**
 * Of a message's `from`, "" if it has none. Null if it can't be sent as it is: names go in ASCII, and "@"
 * would end the address where it is read as GSM-7.
 */
export function sourceOf(from: string, types: AddressTypes): Address | null {
  if (from === "") return typed("none", "", types);
  if (/^\+[0-9]+$/.test(from)) return typed("international", from.slice(1), types);
  if (/^[0-9]+$/.test(from)) return typed(from.length <= SHORT_DIGITS_MAX ? "short" : "number", from, types);
  return /^[\x20-\x3f\x41-\x7e]+$/.test(from) ? typed("name", from, types) : null;
}

/** Of an E.164 phone. International numbers have no plus sign in SMPP: with one they are refused. */
export const destinationOf = (phone: string, types: AddressTypes): Address =>
  typed("international", phone.slice(1), types);

const typed = (form: Form, address: string, types: AddressTypes): Address => ({
  ...(types[form] ?? USUAL[form]),
  address,
});
