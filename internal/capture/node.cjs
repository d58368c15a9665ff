// Preloaded into Node, which knows no variable for proxies: connections to X's hosts go to the server of this run. What they
// are for, and whom the certificate has to name, stays as it is.
"use strict";

const tls = require("node:tls");
const { syncBuiltinESMExports } = require("node:module");

const run = require("./run.json");
const hosts = new Set(run.hosts);
const connect = tls.connect;

// connect(options, callback), connect(port, host, options, callback), and each with less.
tls.connect = function (...args) {
  const given = {};
  let callback;
  for (const arg of args) {
    if (typeof arg === "function") callback = arg;
    else if (typeof arg === "object" && arg !== null) Object.assign(given, arg);
    else if (typeof arg === "number" || (typeof arg === "string" && /^\d+$/.test(arg))) given.port = Number(arg);
    else if (typeof arg === "string") given.host = arg;
  }
  const name = String(given.host || given.hostname || "").toLowerCase().replace(/\.$/, "");
  if (given.socket || Number(given.port) !== 443 || !hosts.has(name)) return connect.apply(this, args);
  const options = { ...given, host: "127.0.0.1", port: run.port, servername: given.servername || name };
  delete options.path; // of the request: here it would be a socket's
  delete options.lookup;
  return connect.call(this, options, callback);
};
syncBuiltinESMExports(); // for import { connect } from "node:tls"
