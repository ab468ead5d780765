"""Where the adapters and policies that come with killcord are: beside the package in a checkout, else where they were installed."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import gateway
from gateway.cli.demo.surprise import Surprise

_CHECKOUT = Path(gateway.__file__).resolve().parent.parent
_INSTALLED = Path(sysconfig.get_path("data")) / "share" / "killcord"


def adapters() -> Path:
    """The folder that holds ``kinto/adapter.yaml``."""
    return _holding("adapters/kinto/adapter.yaml").parent.parent


def policies() -> Path:
    """The folder that holds ``authz/decision.rego``."""
    return _holding("policies/killcord/authz/decision.rego").parent.parent


def _holding(name: str) -> Path:
    for root in (_CHECKOUT, _INSTALLED):
        if (root / name).is_file():
            return root / name
    raise Surprise(f"{name} in the checkout or under {_INSTALLED}", "neither; install killcord again")
