// Preloaded into Node, which knows no variable for proxies: connections to X's hosts go to the server of this run. What they
// are for, and whom the certificate has to name, stays as it is. All else below X's domains is refused, and the proxy told.
"use strict";

const net = require("node:net");

const run = require("./run.json");
const hosts = new Set(run.hosts);
const isX = (name) => run.domains.some((domain) => name === domain || name.endsWith("." + domain));

// Sockets of tls, http and http2 connect by it, too: connect(options, callback), connect(port, host, callback), each with less,
// or an array of what the first has.
const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function (...args) {
  const given = {};
  let callback;
  for (const arg of args.flat()) {
    if (typeof arg === "function") callback = arg;
    else if (typeof arg === "object" && arg !== null) Object.assign(given, arg);
    else if (typeof arg === "number" || (typeof arg === "string" && /^\d+$/.test(arg))) given.port = Number(arg);
    else if (typeof arg === "string") given.host = arg;
  }
  const name = String(given.host || "").toLowerCase().replace(/\.$/, "");
  if (given.path || !isX(name)) return connect.apply(this, args); // a path is a socket's
  if (Number(given.port) === 443 && hosts.has(name)) Object.assign(given, { host: "127.0.0.1", port: run.port });
  else given.lookup = (_name, _options, found) => refuse(name, given.port, found);
  return connect.call(this, given, callback);
};

// refuse asks the proxy for what it refuses, with the reason.
function refuse(name, port, found) {
  const asked = new net.Socket();
  let answer = "";
  asked.on("data", (text) => (answer += text));
  asked.on("error", () => {}); // the end follows
  asked.on("close", () => found(Object.assign(new Error(answer.split("\r\n\r\n")[1]?.trim()), { code: "ENOTFOUND", hostname: name })));
  connect.call(asked, run.proxy, () => asked.write(`CONNECT ${name}:${port} HTTP/1.1\r\nHost: ${name}:${port}\r\nConnection: close\r\n\r\n`));
}
