// The media of a message as Twilio's resource, which every message names: none, since messages are text.
// Clients that keep a copy of their messages ask for it. Invariant: a page has exactly the members of
// Twilio's, because SDKs take the only one that they don't know for the rows.

import { SluiceError } from "../../core/errors.ts";
import { ulidOfHex } from "../../core/id.ts";
import { messageSid } from "../../core/peers/twilio.ts";
import type { Pool } from "../../platform/mysql.ts";
import type { OfCustomer } from "../../platform/pool-shares.ts";
import { doorMessage } from "../../reports/door-messages.ts";
import type { AccessDeps } from "../access.ts";
import type { Written } from "../route.ts";
import type { Knock } from "./door.ts";
import { queryOf } from "./fields.ts";
import { accountPath, answered } from "./twilio-answers.ts";
import { placeOf } from "./twilio-messages.ts";
import { caller, paramsOf } from "./twilio-request.ts";

export type TwilioMediaDeps = { callers: AccessDeps; reads: OfCustomer<{ pool: Pool }> };

const MESSAGE_SID = /^SM([0-9a-f]{32})$/i;

/** @throws SluiceError not_found, also for another customer's message; PeerRefusal */
export async function listMedia({ callers, reads }: TwilioMediaDeps, knock: Knock): Promise<Written> {
  const { customerId } = await caller(callers, knock, "read");
  const { size } = placeOf(paramsOf(queryOf(knock.request.url)));
  const [, hex = ""] = MESSAGE_SID.exec(knock.params.message ?? "") ?? [];
  const id = ulidOfHex(hex);
  if (id === null) throw new SluiceError("not_found");
  await doorMessage(reads(customerId), customerId, id);
  const uri = `${accountPath(customerId)}/Messages/${messageSid(id)}/Media.json?PageSize=${size}&Page=0`;
  return answered({
    end: 0,
    first_page_uri: uri,
    media_list: [],
    next_page_uri: null,
    page: 0,
    page_size: size,
    previous_page_uri: null,
    start: 0,
    uri,
  });
}
