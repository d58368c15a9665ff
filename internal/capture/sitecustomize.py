"""Loaded by Python at its start: X's hosts have the address of the server of this run, for what asks no proxy."""

import json
import os
import socket

HERE = os.path.dirname(os.path.abspath(__file__))


def _capture():
    with open(os.path.join(HERE, "..", "run.json"), encoding="utf-8") as file:
        run = json.load(file)
    port, hosts = run["port"], set(run["hosts"])
    resolve = socket.getaddrinfo

    def getaddrinfo(host, service, family=0, type=0, proto=0, flags=0):
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
        if name and str(name).lower().rstrip(".") in hosts and str(service) in ("443", "https"):
            return resolve("127.0.0.1", port, 0, type, proto, flags)
        return resolve(host, service, family, type, proto, flags)

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
