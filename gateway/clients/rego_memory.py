"""Decisions made before: the same rules on the same values, at every path that any rule looks at, give the same answer.

Rules cannot look anywhere else: the loader refuses every built-in that does (time, chance, network, environment).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

import orjson

from gateway.model.decision import Decision

BOUND = 4_096
"""Answers remembered."""

_NEW_EACH_TIME = frozenset({"now", "step"})
"""What is another one in each call: a bundle that looks at it is asked every time."""

# No JSON text holds this byte: what is absent is like nothing that could be there.
_ABSENT = orjson.Fragment(b"\x00")


class Memory:
    """Belongs to one revision of a bundle. ``paths`` are the paths that its rules look at, ``None`` where that cannot be told."""

    def __init__(self, paths: Sequence[tuple[str, ...]] | None) -> None:
        self._paths = None if paths is None or any(path[0] in _NEW_EACH_TIME for path in paths) else tuple(paths)
        self._answers: OrderedDict[bytes, Decision] = OrderedDict()

    def key(self, document: Mapping[str, object]) -> bytes | None:
        """What the rules will see of a document; ``None`` where it is not remembered."""
        if self._paths is None:
            return None
        return orjson.dumps([_at(document, path) for path in self._paths])

    def recall(self, key: bytes) -> Decision | None:
        """The answer to a key, under the id it was given first; ``None`` where there is none yet."""
        found = self._answers.get(key)
        if found is not None:
            self._answers.move_to_end(key)
        return found

    def keep(self, key: bytes, answer: Decision) -> None:
        self._answers[key] = answer
        if len(self._answers) > BOUND:
            self._answers.popitem(last=False)


def _at(document: Mapping[str, object], path: tuple[str, ...]) -> object:
    """What stands at a path; where something on the way is no object, that something, marked as such: a rule may see parts of it."""
    value: object = document
    for step in path:
        if not isinstance(value, dict):
            return (_ABSENT, step, value)
        if step not in value:
            return _ABSENT
        value = value[step]
    return value
