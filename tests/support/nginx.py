"""A real nginx that compresses, between the gateway and a tool."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from killcord_demo import web
from tests.support.gateway import CHECKOUT, wait_until
from tests.support.ports import free_port

_CONFIG = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  gzip on;
  gzip_min_length 1;
  gzip_proxied any;
  gzip_types application/json;
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://127.0.0.1:{behind}; proxy_set_header Host $http_host; proxy_http_version 1.1; }}
  }}
}}
"""


def binary() -> str:
    """The real nginx, of PATH or of ``.tools``; without one the test is skipped, and fails where CI asks for it."""
    local = CHECKOUT / ".tools" / "nginx" / "usr" / "sbin" / "nginx"
    found = shutil.which("nginx") or (str(local) if local.exists() else None)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("CI requires a real nginx: make tools")
        pytest.skip("NOT CHECKED BEHIND A REAL NGINX: install it by make tools")
    return found


@contextmanager
def serving(folder: Path, behind: int) -> Iterator[int]:
    """Start it in front of a port; gives its own port once it answers, ends it afterwards."""
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(_CONFIG.format(folder=folder, port=port, behind=behind))
    with open(folder / "nginx.out", "wb") as out:
        process = subprocess.Popen(
            [binary(), "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(config)], stdout=out, stderr=subprocess.STDOUT
        )
    try:
        wait_until(lambda: web.send("GET", f"http://127.0.0.1:{port}/v1/").status > 0, "nginx to answer")
        yield port
    finally:
        process.terminate()
        process.wait(60)
