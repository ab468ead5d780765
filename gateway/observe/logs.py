"""One log line an event, as JSON, on standard error. Nothing secret is logged on purpose; what looks secret is redacted."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import orjson
import structlog

_SECRET_NAMES = re.compile(r"authorization|lease|token|secret|password|cookie|api[-_]?key|credential", re.IGNORECASE)
_SECRET_TEXT = re.compile(r"eyJ[\w-]{8,}\.[\w-]+\.[\w-]+|(?i:bearer|basic)\s+[\w+/=.~-]{8,}|kcop_[\w-]{8,}")
REDACTED = "[redacted]"


def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Strike out values under names of secrets, and what looks like one inside any text."""
    return {name: REDACTED if name != "event" and _SECRET_NAMES.search(name) else _cleaned(value) for name, value in event.items()}


def configure(level: str = "info") -> structlog.stdlib.BoundLogger:
    """The logger of this process."""
    levels = {"debug": 10, "info": 20, "warning": 30, "error": 40}
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            redact,
            structlog.processors.JSONRenderer(serializer=lambda event, **_: orjson.dumps(event, default=str).decode()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(levels[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logger: structlog.stdlib.BoundLogger = structlog.get_logger()
    return logger


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return _SECRET_TEXT.sub(REDACTED, value)
    if isinstance(value, Mapping):
        return {name: REDACTED if _SECRET_NAMES.search(str(name)) else _cleaned(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_cleaned(one) for one in value]
    return value
