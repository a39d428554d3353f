// The addresses that entries of HTTP kinds have in common: where an operator's API is, and where its reports
// come to.

import { Type } from "typebox";

const isHttp = (text: string): boolean => {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) return false;
  return url.username === "" && url.password === "" && url.hash === "";
};
/** As http-request.ts takes it apart, which takes less than URL does: no HTTP://a or http:///a. */
const BASE = /^https?:\/\/[^/\\?#{}\s]+(\/[^/\\?#{}\s]+)*$/;

/** Without a slash at its end. */
export const baseUrl = (fallback: string) =>
  Type.Refine(
    Type.String({
      maxLength: 500,
      default: fallback,
      errorMessage: "must be an address such as https://api.example, without a slash at its end",
      description: "where its API is",
    }),
    (text) => isHttp(text) && BASE.test(text),
    () => "no address",
  );

export const reportUrl = (description: string) =>
  Type.Optional(
    Type.Refine(
      Type.String({
        maxLength: 1_000,
        errorMessage: "must be an address such as https://sms.example/dlr/NAME?token=…",
        description,
      }),
      isHttp,
      () => "no address",
    ),
  );
