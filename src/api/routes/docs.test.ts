import { describe, expect, test } from "bun:test";
import { SluiceError } from "../../core/errors.ts";
import { respond } from "../http.ts";
import type { Route } from "../route.ts";
import { createDocs } from "./docs.ts";

const routes = createDocs();
const named = (path: string): Route => routes.find((route) => route.path === path) as Route;

/** The answer to a path as the table of routes would find it. */
async function ask(path: string, headers: Record<string, string> = {}): Promise<Response> {
  const file = /^\/docs\/(.+)$/.exec(path)?.[1];
  const route = named(file === undefined ? path : "/docs/:file");
  const request = new Request(`http://sluice${path}`, { headers });
  const params = file === undefined ? {} : { file };
  return respond(await route.handle({ request, params } as never), "r");
}

describe("Swagger UI", () => {
  for (const path of ["/docs", "/swagger/index.html"])
    test(`at ${path} loads only files that are served here`, async () => {
      const page = await (await ask(path)).text();
      const loaded = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, at = ""]) => at);
      expect(loaded.length).toBeGreaterThan(3);
      for (const at of loaded.filter((one) => one !== "data:,")) {
        const answer = await ask(at);
        expect([at, answer.status]).toEqual([at, 200]);
        expect((await answer.text()).length).toBeGreaterThan(50);
      }
      // An inline script or style would not run under the page's own policy.
      expect(page).not.toMatch(/<script>|<style|style=|https?:/);
    });

  test("is given the document of this API", async () => {
    expect(await (await ask("/docs/start.js")).text()).toContain('url: "/openapi.json"');
    expect(await (await ask("/docs/swagger-ui-bundle.js")).text()).toContain("SwaggerUIBundle");
  });

  test("has the types that a browser insists on, and may load from this API alone", async () => {
    for (const [path, type] of [
      ["/docs", "text/html; charset=utf-8"],
      ["/docs/swagger-ui.css", "text/css; charset=utf-8"],
      ["/docs/swagger-ui-bundle.js", "text/javascript; charset=utf-8"],
      ["/docs/start.js", "text/javascript; charset=utf-8"],
    ] as const) {
      const { headers } = await ask(path);
      expect(headers.get("content-type")).toBe(type);
      expect(headers.get("x-content-type-options")).toBe("nosniff");
      const policy = headers.get("content-security-policy") ?? "";
      expect(policy).toStartWith("default-src 'none'; ");
      expect(policy).not.toMatch(/unsafe|https?:|\*/);
    }
  });

  test("is revalidated, not loaded again", async () => {
    for (const path of ["/docs", "/docs/swagger-ui-bundle.js"]) {
      const etag = (await ask(path)).headers.get("etag") ?? "";
      const again = await ask(path, { "if-none-match": etag });
      expect([again.status, await again.text()]).toEqual([304, ""]);
    }
  });

  test("no other file is read, whatever its name", async () => {
    const others = ["index.html", "package.json", "..%2fpackage.json", "../typebox/package.json", "toString"];
    for (const name of others)
      expect(
        await ask(`/docs/${name}`).then(
          () => "answered",
          (error: unknown) => (error instanceof SluiceError ? error.code : String(error)),
        ),
      ).toBe("not_found");
  });
});
