// What a request asks for: the path and the query of its URL. A Host that can't be part of a URL, or none
// (HTTP/1.0), leaves a URL that `new URL` refuses, and anybody can send one.
// Invariant: throws for no URL of a request; nothing of a Host gets into what it returns.

export type Target = { path: string; query: string };

/**
 * As they were sent, except that Bun escapes quotes, angle brackets and what isn't ASCII. Without a Host, or
 * with some that can't be part of a URL, Bun's URL begins with the path.
 */
export function targetOf(url: string): Target {
  const target = url.startsWith("/") ? url : url.slice(url.indexOf("/", url.indexOf("://") + 3));
  const cut = target.indexOf("?");
  return cut < 0 ? { path: target, query: "" } : { path: target.slice(0, cut), query: target.slice(cut + 1) };
}

export const parametersOf = (url: string): URLSearchParams => new URLSearchParams(targetOf(url).query);
