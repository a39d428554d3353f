// Operators and routes in the admin API: the routes file as it is, the check of another one, who would take a
// number, and replacing the file. Leaves the file to src/operators/, the change to src/control/routes.ts, and
// how processes are told to its caller.

import { dirname } from "node:path";
import { Type } from "typebox";
import { replaceRoutes } from "../../control/routes.ts";
import { SluiceError } from "../../core/errors.ts";
import { LANES } from "../../core/message.ts";
import { explain } from "../../operators/explain.ts";
import { listed } from "../../operators/listing.ts";
import { changesBetween } from "../../operators/route-changes.ts";
import { faultLines, type LoadedRoutes, parseRoutes, type RoutesFile } from "../../operators/routes-file.ts";
import { readStored, replacementOf, type RoutesPlace, versionOf } from "../../operators/stored-routes.ts";
import { FILE_BYTES_MAX } from "../../operators/yaml-tree.ts";
import { readParams } from "../../reports/params.ts";
import { type Route, route } from "../route.ts";
import { closed, OrNull } from "../shapes.ts";
import { type AdminDeps, change, expectedVersion } from "./run.ts";

export type RoutingDeps = AdminDeps & {
  routesFile: RoutesPlace;
  /** Tells the processes of this machine to read the file; returns what each did then. Never throws. */
  tellRoles: () => Promise<{ name: string; pid: number; result: (typeof RESULTS)[number] }[]>;
};

export const createRoutingRoutes = (deps: RoutingDeps): Route[] => [
  showRoute(deps),
  explainRoute(deps),
  checkRoute(deps),
  replaceRoute(deps),
];

const RESULTS = ["uses", "refused", "silent"] as const;
/** The file in JSON, with room for what JSON escapes. */
const BODY_BYTES_MAX = 2 * FILE_BYTES_MAX;

const Given = Type.Object(
  { text: Type.String({ maxLength: FILE_BYTES_MAX, description: "a whole routes file, YAML" }) },
  closed,
);
const FileVersion = Type.String({
  pattern: "^[0-9a-f]{64}$",
  description: "the SHA-256 of the text in UTF-8, in hex",
});
const Rows = Type.Array(Type.Record(Type.String(), Type.Unknown()));
const Content = {
  operators: Rows,
  routes: Rows,
  faults: Type.Array(Type.String({ description: "what is wrong in the file, with its line" })),
};
const Changes = Type.Array(Type.String(), {
  description: "a line for each operator and route that differs; none if only comments or blanks do",
});

const TEXT_EXAMPLE = "operators:\n  A:\n    kind: http\n    url: https://a.example/submit\n    price: 95\n";
export const VERSION_EXAMPLE = "3f0a1c7de94b52860e7cd1f4a86b2397d5c0e41f8b6a93d27f15ce08ab4d6e92";
const REPLACED_EXAMPLE = "9b41d07e63f8ac25410bd9e73c6f82a5e01d47c8b93f6a2e5d70c814fb96ea3d";
const CHANGES_EXAMPLE = ["operator A: price 90 → 95, url changed"];
const CONTENT_EXAMPLE = {
  operators: [
    {
      name: "A",
      kind: "http",
      prefixes: ["+"],
      lanes: ["normal", "express"],
      priority: 0,
      price: 95,
      weight: 1,
      window: 96,
      rate: null,
    },
  ],
  routes: [],
  faults: [],
};

function contentOf(path: string, loaded: LoadedRoutes) {
  if (loaded.kind === "bad") return { operators: [], routes: [], faults: faultLines(path, loaded.faults) };
  const { operators, routes } = listed(loaded.file);
  return { operators, routes: [...routes], faults: [] };
}

const showRoute = ({ routesFile }: RoutingDeps): Route =>
  route({
    method: "GET",
    path: "/admin/v1/routes",
    access: "admin:read",
    query: [],
    body: null,
    answers: {
      200: Type.Object({ version: OrNull(FileVersion), text: OrNull(Type.String()), ...Content }, closed),
    },
    errors: [],
    about: {
      operationId: "getRoutes",
      tag: "Routes",
      summary: "Operators and routes, as the routes file has them now",
      description:
        "As text, and as a list without the settings of connectors. Secrets are kept elsewhere, but a " +
        "header or an address may have been written with one, so `text` is null for a token that only " +
        "reads. Faults are of the file: while it has some, the processes go on with the one of before. " +
        "`version` and `text` are null if it can't be read.",
      answers: { 200: { version: VERSION_EXAMPLE, text: TEXT_EXAMPLE, ...CONTENT_EXAMPLE } },
    },
    handle({ owner }) {
      const { version, text, loaded } = readStored(routesFile);
      const shown = owner.scope === "write" ? text : null;
      return { status: 200, body: { version, text: shown, ...contentOf(routesFile.path, loaded) } };
    },
  });

const Explained = Type.Object(
  {
    lane: Type.Enum(LANES),
    prefix: OrNull(Type.String({ description: "the prefix that decides" })),
    route: OrNull(Type.String({ description: "null: the operators' own terms decide" })),
    operators: Type.Array(
      Type.Object(
        {
          operator: Type.String(),
          tier: Type.Integer({ minimum: 1, description: "those of a later one are asked after these" }),
          share: Type.Number({ description: "of 1, among those of one tier" }),
          why: Type.String(),
        },
        closed,
      ),
    ),
  },
  closed,
);

const explainRoute = ({ routesFile }: RoutingDeps): Route =>
  route({
    method: "GET",
    path: "/admin/v1/routes/explain",
    access: "admin:read",
    query: ["phone", "type"],
    body: null,
    answers: {
      200: Type.Object(
        { phone: Type.String(), lanes: Type.Array(Explained), faults: Content.faults },
        closed,
      ),
    },
    errors: [],
    about: {
      operationId: "explainRoutes",
      tag: "Routes",
      summary: "Which operators would take a number, in which order, and why",
      description:
        "While all of them are healthy and have room. Both lanes unless `type` names one; no `operators`: " +
        "none takes it. No `lanes`: the file has faults.",
      needs: ["phone"],
      answers: {
        200: {
          phone: "+989121234567",
          lanes: [
            {
              lane: "normal",
              prefix: "+",
              route: null,
              operators: [{ operator: "A", tier: 1, share: 1, why: "priority 0, price 95" }],
            },
          ],
          faults: [],
        },
      },
    },
    handle({ query }) {
      const params = readParams(query);
      const [phone, lane] = [params.phone("IR"), params.type()];
      if (!query.has("phone")) params.fail("phone", "is required");
      params.check();
      const { loaded } = readStored(routesFile);
      const { faults } = contentOf(routesFile.path, loaded);
      const lanes =
        loaded.kind === "bad" ? [] : explain(loaded.file, phone ?? "", lane === null ? LANES : [lane]);
      return { status: 200, body: { phone: phone ?? "", lanes, faults } };
    },
  });

const checkRoute = ({ routesFile }: RoutingDeps): Route =>
  route({
    method: "POST",
    path: "/admin/v1/routes/check",
    access: "admin:write",
    query: [],
    body: Given,
    bodyBytesMax: BODY_BYTES_MAX,
    answers: { 200: Type.Object({ version: FileVersion, ...Content, changes: Changes }, closed) },
    errors: [],
    about: {
      operationId: "checkRoutes",
      tag: "Routes",
      summary: "Check a routes file, without using it",
      description:
        "Every fault is named, and what the text would change. Secrets are looked for where it says, in " +
        "the environment and files of this process, so this needs the scope of changes.",
      body: { text: TEXT_EXAMPLE },
      answers: { 200: { version: VERSION_EXAMPLE, ...CONTENT_EXAMPLE, changes: CHANGES_EXAMPLE } },
    },
    handle({ body: { text } }) {
      const { bytes, loaded } = readGiven(text, routesFile);
      const changes = loaded.kind === "bad" ? [] : changesBetween(readStored(routesFile).loaded, loaded.file);
      const content = contentOf("text", loaded);
      return { status: 200, body: { version: versionOf(bytes), ...content, changes } };
    },
  });

const replaceRoute = (deps: RoutingDeps): Route =>
  route({
    method: "PUT",
    path: "/admin/v1/routes",
    access: "admin:write",
    query: [],
    body: Given,
    bodyBytesMax: BODY_BYTES_MAX,
    answers: {
      200: Type.Object(
        {
          version: FileVersion,
          replaced: FileVersion,
          changes: Changes,
          processes: Type.Array(
            Type.Object(
              {
                name: Type.String(),
                pid: Type.Integer(),
                result: Type.Enum(RESULTS, {
                  description: "`refused`: it uses the file of before; `silent`: unknown",
                }),
              },
              closed,
            ),
          ),
        },
        closed,
      ),
    },
    errors: ["version_conflict", "outcome_unknown"],
    about: {
      operationId: "replaceRoutes",
      tag: "Routes",
      summary: "Replace the routes file, and have the processes use it",
      description:
        "Only if it has no fault, and the file still has the version in `If-Match`; `replaced` is that " +
        "version then. A text that is there already changes nothing, so a request may be repeated. " +
        "`processes` are those of this machine's `./sluice up` that have the file, and what each did when " +
        "it was told: others read it on SIGHUP.",
      body: { text: TEXT_EXAMPLE },
      answers: {
        200: {
          version: VERSION_EXAMPLE,
          replaced: REPLACED_EXAMPLE,
          changes: CHANGES_EXAMPLE,
          processes: [{ name: "ingest-1", pid: 4_711, result: "uses" }],
        },
      },
    },
    handle: (call) => {
      const expected = expectedVersion(call.request);
      if (expected === null)
        throw new SluiceError("validation_failed", {
          errors: [{ field: "If-Match", reason: "is required" }],
        });
      const replacement = replacementOf(deps.routesFile, { ...soundOf(call.body, deps), expected });
      return change(deps, call, { status: 200, key: "none" }, async (by) => {
        const replaced = await replaceRoutes(by, replacement);
        return { ...replaced, processes: await deps.tellRoles() };
      });
    },
  });

function readGiven(text: string, { path, env }: RoutesPlace): { bytes: Uint8Array; loaded: LoadedRoutes } {
  // Bytes that are stored must be those that were sent.
  if (!text.isWellFormed()) {
    const errors = [{ field: "text", reason: "must not contain a lone surrogate" }];
    throw new SluiceError("validation_failed", { errors });
  }
  const bytes = Buffer.from(text);
  return { bytes, loaded: parseRoutes(bytes, { env, folder: dirname(path) }) };
}

/** @throws SluiceError validation_failed that names every fault */
function soundOf(
  { text }: { text: string },
  { routesFile }: RoutingDeps,
): { bytes: Uint8Array; file: RoutesFile } {
  const { bytes, loaded } = readGiven(text, routesFile);
  if (loaded.kind === "ok") return { bytes, file: loaded.file };
  const errors = loaded.faults.map(({ line, column, path, what }) => ({
    field: `text:${line}:${column}`,
    reason: path === "" ? what : `${path}: ${what}`,
  }));
  throw new SluiceError("validation_failed", { errors });
}
