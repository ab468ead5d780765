"""The configuration as the composition root takes it: frozen, with the model's values. Loading is in ``loading``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.core.adapter import catalog
from gateway.core.triggers.window import Thresholds
from gateway.model.run import Limits, TaskClass
from gateway.model.webhook import Webhook
from gateway.settings.network import Address, Origin, RedisConfig
from gateway.settings.secrets import Credential
from gateway.settings.sections import AmbientRunSection, HttpSection


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolConfig:
    """One tool. ``timeout`` in seconds; ``lease_header`` and ``lease_basic`` are where its unmodified clients put the lease.

    Until ``shadow_until`` (Unix seconds) policy's denials are journaled and waived.
    """

    name: str
    adapter: str
    catalog: catalog.Tool
    origin: Origin
    credential: Credential | None = None
    timeout: float = 10.0
    lease_header: bytes | None = None
    lease_basic: bool = False
    connections: int = 64
    ca: Path | None = None
    shadow_until: float = 0.0


@dataclass(frozen=True, slots=True)
class PolicyConfig:
    """``timeout`` in seconds. Without ``opa`` (where a real OPA is) the folder at ``path`` is evaluated in this process."""

    path: Path
    timeout: float
    opa: Origin | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Paths are absolute. ``tenants`` holds limits by tenant, ``*`` those of every tenant without its own.

    ``rates`` is ``None`` if they are metered in memory; ``approval_ttl`` and ``rollback_patience`` are in seconds.
    """

    path: Path
    data: Address
    control: Address
    data_dir: Path
    policy: PolicyConfig
    candidate: Path | None = None
    tools: Mapping[str, ToolConfig]
    task_classes: Mapping[str, TaskClass]
    tenants: Mapping[str, Limits]
    triggers: Thresholds
    http: HttpSection
    shutdown_grace: float
    approval_ttl: float = 3_600.0
    rollback_patience: float = 900.0
    rates: RedisConfig | None = None
    anchor: Path | None = None
    tokens_file: Path | None = None
    ambient_run: AmbientRunSection | None = None
    webhooks: tuple[Webhook, ...] = ()
