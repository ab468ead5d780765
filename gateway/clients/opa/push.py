"""Loading a folder of policies onto a running OPA, by the Policy and Data APIs (package ``opa-python-client``)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
import requests
from opa_client import OpaClient
from opa_client import errors as opa_errors

from gateway import errors
from gateway.clients import policy_bundle
from gateway.clients.opa import channel
from gateway.clients.policy_bundle import Bundle
from gateway.clients.rego import entry_points, loading

OURS = "killcord-push/"
"""The prefix of the ids of pushed modules; the next push removes every other module of this prefix."""

ROOT = "killcord"
TIMEOUT = 10.0

_CLOSED = f"{OURS}closed.rego"
_CLOSING = 'package killcord.authz\n\ndecision := "closed while policies are pushed"\n'
_REFUSALS = (opa_errors.RegoParseError, opa_errors.DeletePolicyError)


@dataclass(frozen=True, slots=True)
class Pushed:
    """``revision`` is what a gateway that asks this OPA will put into its journal; ``removed`` are modules of the push before."""

    revision: str
    modules: tuple[str, ...]
    removed: tuple[str, ...]


class _Straight(OpaClient):  # type: ignore[misc]
    """Uses no proxy that the environment names; asks once."""

    def _init_session(self) -> requests.Session:
        session: requests.Session = super()._init_session()
        session.trust_env = False
        return session


def push(folder: Path, *, host: str, port: int, tls: bool) -> Pushed:
    """Vet a folder as the embedded engine does, then put its modules and data in the place of those pushed before.

    OPA takes one module at a time: until the last is in, it gives no usable decision, and gateways refuse calls. If
    a push fails midway, that stays so until another succeeds.

    Raises:
        Misconfigured: the folder cannot be used, or OPA cannot be reached or does not take it; one line per problem.
    """
    found = policy_bundle.read(folder)
    loading.compile_engine(loading.load(found), found.data)
    if misplaced := sorted(name for name, value in found.data.items() if not isinstance(value, dict)):
        raise errors.Misconfigured([f"{folder}: data.{misplaced[0]} is not an object, and only an object can be pushed; use a folder"])
    with _complaining(f"{'https' if tls else 'http'}://{host}:{port}"):
        client = _Straight(host=f"[{host}]" if ":" in host else host, port=port, ssl=tls, retries=0, timeout=TIMEOUT)
        with client:
            return _replaced(client, found)


def _replaced(client: OpaClient, found: Bundle) -> Pushed:
    before = _pushed_before(client)
    modules = {OURS + name.partition("/")[2]: content for name, content in found.modules.items()}
    _put(client, _CLOSED, _CLOSING)
    _each(before - {_CLOSED}, client.delete_policy)
    for name, value in {ROOT: {}, **found.data}.items():
        client.update_or_create_data(value, name)
    _each(modules, lambda name: _put(client, name, modules[name]))
    client.delete_policy(_CLOSED)
    _try(client)
    present = {name: client.get_policy(name)["result"]["raw"] for name in client.get_policies_list()}
    return Pushed(channel.revision_of(present), tuple(sorted(modules)), tuple(sorted(before - modules.keys() - {_CLOSED})))


def _pushed_before(client: OpaClient) -> set[str]:
    """Ids of the modules that this push replaces.

    Raises:
        Misconfigured: others would decide along.
    """
    under = f"{client.root_url}/data/{ROOT}"
    present: Mapping[str, Mapping[str, str]] = client.get_policies_info()
    others = sorted(name for name, info in present.items() if not name.startswith(OURS) and f"{info['path']}/".startswith(f"{under}/"))
    if others:
        listed = ", ".join(others)
        raise errors.Misconfigured([f"OPA has policies of package {ROOT} that were not pushed: {listed}; start it without them"])
    return {name for name in present if name.startswith(OURS)}


def _each(names: Iterable[str], step: Callable[[str], object]) -> None:
    """Take a step for each name. OPA compiles everything at each step: a step that needs others first is tried again after them.

    Raises:
        RegoParseError, DeletePolicyError: what is left cannot be done in any order.
    """
    left = sorted(names)
    while left:
        refused: dict[str, Exception] = {}
        for name in left:
            try:
                step(name)
            except _REFUSALS as refusal:
                refused[name] = refusal
        if len(refused) == len(left):
            raise next(iter(refused.values()))
        left = list(refused)


def _put(client: OpaClient, name: str, content: str) -> None:
    # Without the client's own rewriting of older Rego: what runs is what was vetted.
    client.update_policy_from_string(content, name, rego_compat=False)


def _try(client: OpaClient) -> None:
    """Raises:
    Misconfigured: OPA has no usable decision on a sample call.
    """
    asked = orjson.loads(orjson.dumps(entry_points.sample_call()))
    answer = client.query_rule(asked, "killcord.authz", "decision", {"strict-builtin-errors": "true"})
    if fault := entry_points.decision_fault(answer.get("result")):
        raise errors.Misconfigured([f"OPA returns no usable decision for a sample call: {fault}"])


@contextmanager
def _complaining(shown: str) -> Iterator[None]:
    """What the client raises, as lines that say which OPA."""
    try:
        yield
    except opa_errors.RegoParseError as refusal:
        details = [f"OPA at {shown}: {_located(one)}" for one in refusal.errors if isinstance(one, dict)]
        raise errors.Misconfigured(details or [f"OPA at {shown}: {refusal.expression}: {refusal.message}"]) from refusal
    except (opa_errors.DeletePolicyError, opa_errors.PolicyNotFoundError) as refusal:
        raise errors.Misconfigured([f"OPA at {shown}: {refusal.expression}: {refusal.message}"]) from refusal
    except requests.RequestException as error:
        raise errors.Misconfigured([f"OPA at {shown}: {type(error).__name__}: it cannot be reached, or refused the request"]) from error


def _located(error: Mapping[str, object]) -> str:
    where = error.get("location")
    place = f"{where.get('file')}:{where.get('row')}: " if isinstance(where, dict) else ""
    return f"{place}{error.get('message')}"
