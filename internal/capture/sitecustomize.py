"""Loaded by Python at its start, for what asks no proxy: X's hosts have the address of the server of this run. All else below X's
domains has none, and the proxy is told."""

import json
import os
import socket

HERE = os.path.dirname(os.path.abspath(__file__))


def _capture():
    with open(os.path.join(HERE, "..", "run.json"), encoding="utf-8") as file:
        run = json.load(file)
    resolve = socket.getaddrinfo

    def getaddrinfo(host, port, family=0, type=0, proto=0, flags=0):
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
        name = str(name or "").lower().rstrip(".")
        if not any(name == domain or name.endswith("." + domain) for domain in run["domains"]):
            return resolve(host, port, family, type, proto, flags)
        if name in run["hosts"] and str(port) in ("443", "https"):
            return resolve("127.0.0.1", run["port"], 0, type, proto, flags)
        raise socket.gaierror(socket.EAI_NONAME, refuse(name, port or 0))

    def refuse(name, port):
        """Asks the proxy for what it refuses, and returns the reason."""
        at = run["proxy"]
        with socket.create_connection((at["host"], at["port"]), 10) as asked, asked.makefile("rb") as answer:
            asked.sendall(f"CONNECT {name}:{port} HTTP/1.1\r\nHost: {name}:{port}\r\nConnection: close\r\n\r\n".encode())
            return answer.read().decode().partition("\r\n\r\n")[2].strip()

    socket.getaddrinfo = getaddrinfo


def _next():
    """Runs the sitecustomize that this one hides, if there is one."""
    import importlib.machinery
    import importlib.util
    import sys

    path = [p for p in sys.path if os.path.abspath(p or ".") != HERE]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", path)
    if spec and spec.loader:
        module = importlib.util.module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


_capture()
_next()
