"""Where the adapters and policies that come with Killcord are: beside the package in a checkout, else where they were installed.

Configurations of tests, of the demo and of new sites name these folders.
"""

from __future__ import annotations

import sysconfig
from pathlib import Path

import gateway

_CHECKOUT = Path(gateway.__file__).resolve().parent.parent
_INSTALLED = Path(sysconfig.get_path("data")) / "share" / "killcord"


def adapters() -> Path:
    """The folder that holds ``kinto/adapter.yaml``.

    Raises:
        FileNotFoundError: Killcord is not installed whole.
    """
    return _holding("adapters/kinto/adapter.yaml").parent.parent


def policies() -> Path:
    """The folder that holds ``authz/decision.rego``.

    Raises:
        FileNotFoundError: Killcord is not installed whole.
    """
    return _holding("policies/killcord/authz/decision.rego").parent.parent


def _holding(name: str) -> Path:
    for root in (_CHECKOUT, _INSTALLED):
        if (root / name).is_file():
            return root / name
    raise FileNotFoundError(f"{name} is neither in the checkout nor under {_INSTALLED}; install killcord again")
