// The door for clients of Twilio's Messages resource: its routes, the account and its balance
// (https://www.twilio.com/docs/messaging/api/message-resource). docs/doors/twilio.md says what differs.
// Leaves messages to twilio-send.ts and twilio-messages.ts.

import { decimalOf } from "../../core/money.ts";
import { accountSid, API_VERSION } from "../../core/peers/twilio.ts";
import { readCustomer } from "../../customers/customers.ts";
import { readWallet } from "../../reports/wallet.ts";
import type { Written } from "../route.ts";
import { type DoorRoute, doorRoute, type Knock } from "./door.ts";
import { accountPath, answered, dateOf, refusalOf } from "./twilio-answers.ts";
import { listMedia } from "./twilio-media.ts";
import { cancelMessage, fetchMessage, listOwn, type TwilioMessageDeps } from "./twilio-messages.ts";
import { caller } from "./twilio-request.ts";
import { create, type TwilioSendDeps } from "./twilio-send.ts";

export type TwilioDeps = TwilioSendDeps & TwilioMessageDeps;

const ACCOUNT = `/${API_VERSION}/Accounts/:account`;
const MESSAGES = `${ACCOUNT}/Messages.json`;
const MESSAGE = `${ACCOUNT}/Messages/:message`;

export function createTwilioDoor(deps: TwilioDeps): DoorRoute[] {
  const routeOf = (
    method: DoorRoute["method"],
    path: string,
    answer: (deps: TwilioDeps, knock: Knock) => Promise<Written>,
  ) => doorRoute({ method, path, refusal: refusalOf, answer: (knock) => answer(deps, knock) });
  return [
    routeOf("POST", MESSAGES, create),
    routeOf("GET", MESSAGES, listOwn),
    routeOf("GET", MESSAGE, fetchMessage),
    routeOf("POST", MESSAGE, cancelMessage),
    routeOf("GET", `${MESSAGE}/Media.json`, listMedia),
    routeOf("GET", `${ACCOUNT}/Balance.json`, fetchBalance),
    routeOf("GET", ACCOUNT, fetchAccount),
  ];
}

async function fetchBalance({ callers, reads }: TwilioDeps, knock: Knock): Promise<Written> {
  const { customerId } = await caller(callers, knock, "read");
  const { balance, currency } = await readWallet(reads(customerId), customerId);
  return answered({ account_sid: accountSid(customerId), balance: decimalOf(balance, currency), currency });
}

const ACCOUNT_FILE = /^(.+)\.json$/i;

/** Only what is true of a customer. `date_updated` is null: Node's SDK takes an absent date for now. */
async function fetchAccount({ callers, reads }: TwilioDeps, knock: Knock): Promise<Written> {
  const [, account] = ACCOUNT_FILE.exec(knock.params.account ?? "") ?? [];
  const { customerId } = await caller(callers, knock, "read", account ?? "");
  const { name, created_at } = await readCustomer(reads(customerId).pool, customerId);
  const [sid, path] = [accountSid(customerId), accountPath(customerId)];
  return answered({
    date_created: dateOf(Date.parse(created_at)),
    date_updated: null,
    friendly_name: name,
    owner_account_sid: sid,
    sid,
    status: "active", // of a suspended customer no request gets here
    subresource_uris: { balance: `${path}/Balance.json`, messages: `${path}/Messages.json` },
    type: "Full",
    uri: `${path}.json`,
  });
}
