// `openapi`: the document that GET /openapi.json answers, for tools that read it from a file. Needs no
// engine.

import { openApi } from "../api/openapi/document.ts";
import { declaredRoutes } from "../api/table.ts";
import { say } from "../platform/output.ts";

/** @throws OutputError */
export const printOpenApi = (): void => say(JSON.stringify(openApi(declaredRoutes()), null, 2));
