"""A real Kinto on a free port, with its memory backend: an HTTP API with entity tags that nobody here wrote."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

AUTHORIZATION = "Basic a2lsbGNvcmQ6a2lsbGNvcmQ="
"""killcord:killcord; Kinto's basic authentication takes any pair as a user of its own."""

_INI = """\
[app:main]
use = egg:kinto
kinto.storage_backend = kinto.core.storage.memory
kinto.permission_backend = kinto.core.permission.memory
kinto.cache_backend = kinto.core.cache.memory
kinto.userid_hmac_secret = a-test-keeps-no-secrets
kinto.bucket_create_principals = system.Authenticated
multiauth.policies = basicauth

[server:main]
use = egg:waitress#main
host = 127.0.0.1
port = {port}

[loggers]
keys = root
[handlers]
keys = console
[formatters]
keys = plain
[logger_root]
level = WARNING
handlers = console
[handler_console]
class = StreamHandler
args = (sys.stderr,)
formatter = plain
[formatter_plain]
format = %(message)s
"""

Document = dict[str, object]


@contextmanager
def serving(folder: Path, *, deadline: float = 60.0) -> Iterator[int]:
    """Start Kinto with its files in ``folder``; gives its port once it answers, ends it afterwards."""
    port = _free_port()
    ini = folder / "kinto.ini"
    ini.write_text(_INI.format(port=port))
    command = [str(Path(sys.executable).with_name("kinto")), "start", "--ini", str(ini)]
    with open(folder / "kinto.log", "wb") as log, subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder) as process:
        try:
            _wait(process, port, time.monotonic() + deadline)
            yield port
        finally:
            process.terminate()


def send(port: int, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Document:
    """One request, ``path`` without ``/v1``; the reply as expressions see it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    sent = {"Authorization": AUTHORIZATION, **({"Content-Type": "application/json"} if body is not None else {}), **(headers or {})}
    try:
        connection.request(method, "/v1" + path, None if body is None else json.dumps(body), sent)
        answer = connection.getresponse()
        raw = answer.read()
    finally:
        connection.close()
    seen = {name.lower(): value for name, value in answer.getheaders()}
    return {"status": answer.status, "headers": seen, "body": json.loads(raw) if raw else None}


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def _wait(process: subprocess.Popen[bytes], port: int, until: float) -> None:
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError("kinto ended while starting; kinto.log in its folder says why")
        try:
            send(port, "GET", "/")
            return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError("kinto did not answer in time")
