// What the audit log can say: the names of the changes that whoever runs Sluice makes, and who made one.
// Leaves to src/control/audit.ts how a change is written down.

/** An adjustment of a wallet. */
export const ADJUSTED = "wallet.adjust";
/** The routes file was replaced. */
export const ROUTES_CHANGED = "routes.change";

/** The object that a change is of, and what was done to it. Names are added, never given another meaning. */
export const AUDIT_ACTIONS = [
  "customer.create",
  "customer.change",
  "key.create",
  "key.rotate",
  "key.change",
  "key.revoke",
  "plan.change",
  "plan.remove",
  "caps.change",
  "wallet.topup",
  ADJUSTED,
  "webhook.change",
  "webhook.rotate",
  "webhook.remove",
  "webhook.resume",
  "webhook.replay",
  "quiet.change",
  "senders.change",
  "number.add",
  "number.remove",
  "opt_out.add",
  "opt_out.remove",
  "letter.requeue",
  "letter.drop",
  ROUTES_CHANGED,
  "token.create",
  "token.revoke",
] as const;
export type AuditAction = (typeof AUDIT_ACTIONS)[number];

/** `cli`: a command on the database, by a user of the operating system. */
export const AUDIT_DOORS = ["api", "cli"] as const;
export type AuditDoor = (typeof AUDIT_DOORS)[number];

/** Who makes a change. */
export type Actor = {
  via: AuditDoor;
  /** The name of an admin token, or of an operating system's user. */
  who: string;
  /** From where: an IP address, or a host's name. */
  origin: string;
};

/** A name of an admin token. */
export const ADMIN_NAME_CHARS_MAX = 60;
export const REASON_CHARS_MAX = 500;
