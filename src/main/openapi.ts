// `openapi`: the document that GET /openapi.json answers, or the Postman collection made from it, for tools
// that read it from a file. Needs no engine.

import { ADMIN_BOOK, declaredAdminRoutes } from "../api/admin/table.ts";
import { openApi } from "../api/openapi/document.ts";
import { type OpenApi, postmanCollection, postmanEnvironment } from "../api/openapi/postman.ts";
import { declaredRoutes } from "../api/table.ts";
import { say } from "../platform/output.ts";

export type OpenApiOptions = {
  admin?: true;
  postman?: true;
  postmanEnvironment?: true;
  baseUrl: string;
  apiKey: string;
};

/** @throws OutputError */
export function printOpenApi({
  admin,
  postman,
  postmanEnvironment: environment,
  baseUrl,
  apiKey,
}: OpenApiOptions): void {
  const document = admin === true ? openApi(declaredAdminRoutes(), ADMIN_BOOK) : openApi(declaredRoutes());
  if (environment === true) say(printed(postmanEnvironment(baseUrl, apiKey)));
  else say(printed(postman === true ? postmanCollection(document as unknown as OpenApi) : document));
}

const printed = (json: object): string => JSON.stringify(json, null, 2);
