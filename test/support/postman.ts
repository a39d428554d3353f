// Reads a Postman collection as Postman does: finds its requests, puts variables in, and makes of each what
// is sent. Knows only what this project's collection uses; anything else is an error.

type Pair = { key: string; value: string; disabled?: boolean };
export type PostmanRequest = {
  method: string;
  auth?: { type: string };
  header: Pair[];
  url: { raw: string; host: string[]; path: string[]; query?: Pair[]; variable?: Pair[] };
  body?: { mode: string; raw: string };
};
export type PostmanItem = {
  name: string;
  request: PostmanRequest;
  response: { code: number; body?: string }[];
};
type Apikey = { type: string; apikey: Pair[] };
export type PostmanCollection = {
  info: { name: string; schema: string };
  auth: Apikey;
  item: { name: string; item: PostmanItem[] }[];
};
export type PostmanEnvironment = { values: { key: string; value: string; enabled: boolean }[] };

export type Made = { method: string; url: string; headers: Record<string, string>; body: string | undefined };

/** What is sent for a request. `values`: for parameters of paths, instead of the examples. @throws Error */
export function madeOf(
  { auth }: PostmanCollection,
  { values: variables }: PostmanEnvironment,
  { request }: PostmanItem,
  values: Readonly<Record<string, string>> = {},
): Made {
  const known = new Map(variables.filter(({ enabled }) => enabled).map(({ key, value }) => [key, value]));
  known.set("$guid", crypto.randomUUID());
  const put = (text: string): string =>
    text.replaceAll(/\{\{(.+?)\}\}/g, (_, name: string) => {
      const value = known.get(name);
      if (value === undefined) throw new Error(`no variable ${name}`);
      return value;
    });
  const { host, path, query = [], variable = [] } = request.url;
  const steps = path.map((step) => {
    if (!step.startsWith(":")) return put(step);
    const found = variable.find(({ key }) => key === step.slice(1));
    if (found === undefined) throw new Error(`no value for ${step}`);
    return encodeURIComponent(values[found.key] ?? put(found.value));
  });
  const asked = query.filter(({ disabled }) => disabled !== true);
  const search = asked.map(({ key, value }) => `${key}=${encodeURIComponent(put(value))}`).join("&");
  const headers = Object.fromEntries(request.header.map(({ key, value }) => [key.toLowerCase(), put(value)]));
  if (request.auth?.type !== "noauth") {
    const of = (name: string) => auth.apikey.find(({ key }) => key === name)?.value ?? "";
    if (auth.type !== "apikey" || of("in") !== "header") throw new Error("an unknown kind of auth");
    headers[of("key").toLowerCase()] = put(of("value"));
  }
  const url = `${put(host.join("."))}/${steps.join("/")}${search === "" ? "" : `?${search}`}`;
  return {
    method: request.method,
    url,
    headers,
    body: request.body === undefined ? undefined : put(request.body.raw),
  };
}
