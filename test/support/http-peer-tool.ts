// An operator's HTTP interface for tests, a process of its own: `bun http-peer-tool.ts [PATH]`. Prints its
// port as a line, and then each request that came as a line of JSON. The first piece of a request's path says
// how it is answered, by a name of ANSWERS such as `/say/STATUS/BODY`; PATH replaces a path that is only "/".
// Raw sockets, because a server would not misbehave.

import { createServer, type Socket } from "node:net";

type Heard = { line: string; headers: Record<string, string>; body: string };

const BIG = Buffer.alloc(1024 * 1024, "x");

const respond = (status: number, body: string, headers: readonly string[] = []): string =>
  [`HTTP/1.1 ${status} x`, `Content-Length: ${Buffer.byteLength(body)}`, ...headers, "", body].join("\r\n");

/** By the first piece of the path. */
const ANSWERS: Record<string, (socket: Socket, rest: string[], url: string) => void> = {
  say: (socket, [status = "200", body = ""]) =>
    void socket.write(respond(Number(status), decodeURIComponent(body))),
  redirect: (socket, _, url) =>
    void socket.write(respond(307, "", [`Location: ${url.replace("redirect", "say/200/followed")}`])),
  /** After it took the request. */
  cut: (socket) => void socket.destroy(),
  cutInAnswer: (socket) => {
    socket.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", () => socket.destroy());
  },
  noise: (socket) => void socket.end("\0\0\0 this is not HTTP\r\n\r\n"),
  hundredMegabytes(socket) {
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${100 * BIG.length}\r\n\r\n`);
    let left = 100;
    const more = () => {
      while (left > 0 && !socket.destroyed) {
        left--;
        if (!socket.write(BIG)) return void socket.once("drain", more);
      }
    };
    more();
  },
  /** A byte in 100 ms, so that no pause is long. */
  trickle(socket) {
    const bytes = `HTTP/1.1 200 OK\r\nContent-Length: 6000\r\n\r\n{"operator_message_id":"late"}`;
    let at = 0;
    const timer = setInterval(() => {
      if (socket.destroyed) return clearInterval(timer);
      socket.write(at < bytes.length ? (bytes[at++] ?? "") : " ");
    }, 100);
  },
  /** A whole answer in single bytes, soon. */
  bytes(socket) {
    const answer = respond(200, '{"name":"آ","operator_message_id":"a-1"}');
    for (const byte of Buffer.from(answer)) socket.write(Buffer.of(byte));
  },
};

function serve(socket: Socket): void {
  let held = Buffer.alloc(0);
  socket.setNoDelay(true);
  socket.on("error", () => undefined);
  socket.on("data", (chunk: Buffer) => {
    held = Buffer.concat([held, chunk]);
    const heard = complete(held);
    if (heard === null) return;
    held = Buffer.alloc(0);
    console.log(JSON.stringify(heard));
    const url = heard.line.split(" ")[1] ?? "";
    const [, how = "", ...rest] = (url === "/" ? (process.argv[2] ?? "/") : url).split("/");
    (ANSWERS[how] ?? ANSWERS.say)?.(socket, rest, url);
  });
}

function complete(bytes: Buffer): Heard | null {
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0) return null;
  const [line = "", ...lines] = bytes.toString("latin1", 0, end).split("\r\n");
  const headers = Object.fromEntries(
    lines.map((each) => {
      const colon = each.indexOf(":");
      return [each.slice(0, colon).toLowerCase(), each.slice(colon + 1).trim()];
    }),
  ) as Record<string, string>;
  const body = bytes.subarray(end + 4);
  if (body.length < Number(headers["content-length"] ?? 0)) return null;
  return { line, headers, body: body.toString("utf8") };
}

const server = createServer(serve);
server.listen(0, "127.0.0.1", () => {
  console.log((server.address() as { port: number }).port);
});
