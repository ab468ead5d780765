"""What OPA's answers mean: a result, a rule that failed on the call, or nothing to go by."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from gateway import errors
from gateway.clients import bundle
from gateway.clients.opa_channel import Answer
from gateway.core import policy, strictjson
from gateway.model.decision import Reason

_LONGEST_ID = 100
_FAILED_RULE = frozenset({"eval_type_error", "eval_builtin_error", "eval_conflict_error"})
"""OPA's codes for what a rule does on the same input again and again; others (a cancelled query, say) may not come back."""


@dataclass(frozen=True, slots=True)
class Told:
    """``result`` is ``None`` where it is undefined; ``bundles`` are those that answered, with their revisions ('' for none)."""

    result: object
    decision_id: str | None
    bundles: Mapping[str, str]

    @property
    def revision(self) -> str:
        """What the bundles call themselves: one's revision, several as ``name=revision``; '' where one has none."""
        if not all(self.bundles.values()):
            return ""
        if len(self.bundles) == 1:
            return next(iter(self.bundles.values()))
        return ",".join(f"{name}={revision}" for name, revision in sorted(self.bundles.items()))


def told(answer: Answer) -> Told:
    """What a 200 of the Data API says, asked for with ``provenance=true``.

    Raises:
        PolicyUnavailable: it says nothing: no JSON object that every reader reads alike.
    """
    shown = _object(answer)
    decision_id, provenance = shown.get("decision_id"), shown.get("provenance")
    bundles = provenance.get("bundles") if isinstance(provenance, dict) else None
    return Told(
        shown.get("result"),
        decision_id if isinstance(decision_id, str) and 0 < len(decision_id) <= _LONGEST_ID else None,
        {name: _revision(one) for name, one in bundles.items()} if isinstance(bundles, dict) else {},
    )


def failure(answer: Answer) -> Reason:
    """Why a call is denied to which OPA answered with an error: a rule that cannot be applied to it.

    Raises:
        PolicyUnavailable: it was something else that failed.
    """
    return policy.inapplicable(failed_at(answer))


def failed_at(answer: Answer) -> str:
    """Where the rule stands that could not be applied to what OPA was asked about, as far as OPA says.

    Raises:
        PolicyUnavailable: it was something else that failed.
    """
    found = _object(answer).get("errors")
    failed = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    if answer.status != 500 or not failed or not all(one.get("code") in _FAILED_RULE for one in failed):
        raise errors.PolicyUnavailable(f"The policy engine answered with status {answer.status}.", retry_after=1.0)
    where = failed[0].get("location")
    return f"{where.get('file')}:{where.get('row')}" if isinstance(where, dict) else "an unknown place"


def modules(answer: Answer) -> dict[str, str]:
    """Rego by id, of a 200 of the Policy API; empty for any other answer: it may be forbidden."""
    try:
        listed = orjson.loads(answer.body)["result"] if answer.status == 200 else []
        return {str(one["id"]): str(one["raw"]) for one in listed}
    except (ValueError, TypeError, KeyError):
        return {}


def revision_of(found: Mapping[str, str]) -> str:
    """A name for modules that come in no bundle: 12 hex digits of SHA-256 over ids and contents, tests left out."""
    digest = hashlib.sha256()
    for name, content in sorted(found.items()):
        if not name.endswith(bundle.TEST_SUFFIX):
            digest.update(b"%d:%s%d:%s" % (len(name.encode()), name.encode(), len(content.encode()), content.encode()))
    return digest.hexdigest()[:12]


def _object(answer: Answer) -> dict[str, object]:
    try:
        shown = strictjson.loads(answer.body)
    except errors.MalformedRequest as error:
        raise _unreadable() from error
    if not isinstance(shown, dict):
        raise _unreadable()
    return shown


def _unreadable() -> errors.PolicyUnavailable:
    return errors.PolicyUnavailable("The policy engine's answer is no JSON object, or not a whole one.", retry_after=1.0)


def _revision(provenance: object) -> str:
    found = provenance.get("revision") if isinstance(provenance, dict) else None
    return found if isinstance(found, str) else ""
