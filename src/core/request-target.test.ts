import { expect, test } from "bun:test";
import { parametersOf, targetOf } from "./request-target.ts";

test("the target is what follows the Host, whether or not there is one", () => {
  const hosts = ["http://h", "http://h:99999", "http://[", "http://h%00", ""];
  for (const host of hosts) {
    expect(targetOf(`${host}/dlr/A?token=x&to=http://e/f?g`)).toEqual({
      path: "/dlr/A",
      query: "token=x&to=http://e/f?g",
    });
    expect(targetOf(`${host}/dlr/A`)).toEqual({ path: "/dlr/A", query: "" });
    expect(targetOf(`${host}//dlr/A?`)).toEqual({ path: "//dlr/A", query: "" });
    expect([...parametersOf(`${host}/dlr/A?a=%20b&a=c+d`)]).toEqual([
      ["a", " b"],
      ["a", "c d"],
    ]);
  }
});
