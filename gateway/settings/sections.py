"""The killcord.yaml document: its keys and their kinds, and what is accepted by name but not built in yet."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from gateway.settings.document import Section
from gateway.settings.located import Located
from gateway.settings.triggers import TriggersSection
from gateway.settings.units import Address, Amount, Calls, Count, Duration, Listen, Size

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]

Told = Literal["order", "trigger", "incident"]

NOT_YET: tuple[tuple[tuple[str, ...], str | None, str], ...] = (
    (("journal", "store"), "postgres", "store postgres is not built in yet; use sqlite"),
)
"""(place, word or any, message): each row goes once its feature is there."""


class ListenSection(Section):
    data: Listen = Address("127.0.0.1", 8090)
    control: Listen = Address("127.0.0.1", 8091)


class PolicySection(Section):
    engine: Literal["embedded", "opa"] = "embedded"
    path: str = "./policies"
    url: str | None = None
    timeout: Duration = 0.2


class CandidateSection(Section):
    path: str


class JournalSection(Section):
    store: Literal["sqlite", "postgres"] = "sqlite"
    dsn: str | None = None


class RatesSection(Section):
    store: Literal["memory", "redis"] = "memory"
    url: str | None = Field(default=None, description="redis://host:port/0, rediss://user:${NAME}@host:port/0 or unix:///path:0")
    prefix: str = "killcord"
    timeout: Duration = 0.1
    ca: str | None = None
    on_loss: Literal["deny", "share"] = "deny"
    share: Count | None = None


class CredentialSection(Section):
    header: str | None = None
    value: Any = None  # checked without ever being shown
    file: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _file_as_value(cls, given: Any) -> Any:
        """``value: {file: PATH}`` is another way to write ``file: PATH``."""
        value = given.get("value") if isinstance(given, dict) else None
        if isinstance(value, dict) and value.keys() == {"file"} and "file" not in given:
            return {**{key: one for key, one in given.items() if key != "value"}, **value}
        return given


class LeaseInSection(Section):
    header: Name | None = None
    basic: Literal["password"] | None = None


class ToolSection(Section):
    adapter: str = Field(description="the name of a folder of adapters")
    base_url: str = Field(description="http://host:port/path, https://... or unix:///path")
    credential: CredentialSection | None = None
    timeout: Duration = 10.0
    mode: Literal["enforce", "shadow"] = "enforce"
    until: date | None = None
    lease_in: LeaseInSection | None = None
    vars: dict[str, Any] = Field(default_factory=dict)
    connections: Count = 64
    ca: str | None = None


class LimitsSection(Section):
    rate: Calls | None = None
    steps: Count | None = None
    writes: Count | None = None
    records: Count | None = None
    tenants: Count | None = None
    systems: Count | None = None
    amount: dict[str, Amount] = Field(default_factory=dict)


class TaskClassSection(Section):
    tenants: list[str] = Field(default_factory=lambda: ["*"])
    scopes: list[str] = Field(default_factory=lambda: ["*"])
    ttl: Duration = 28_800.0
    limits: LimitsSection = LimitsSection()
    total: LimitsSection | None = None


class ApprovalsSection(Section):
    ttl: Duration = Field(default=3_600.0, description="how long an approval waits for an answer, and how long a yes is good")


class RollbackSection(Section):
    patience: Duration = Field(
        default=900.0, description="how long a rollback waits for a tool that is away, before a person says when it goes on"
    )


class HttpSection(Section):
    body_cap: Size = 1_048_576
    body_timeout: Duration = 10.0
    allowed_hosts: list[str] = Field(default_factory=lambda: ["localhost", "127.0.0.1", "::1"])


class AnchorSection(Section):
    file: str


class OperatorsSection(Section):
    tokens_file: str


class AmbientRunSection(Section):
    tenant: str
    agent_id: str
    task_class: str = "default"
    scopes: list[str] = Field(description="what the run may do, such as ['erp:*']")


class WebhookSection(Section):
    url: str = Field(description="https://host/path")
    secret: Any = None  # checked without ever being shown
    events: list[Told] = Field(default_factory=lambda: list(get_args(Told)))
    timeout: Duration = 5.0
    attempts: Count = 8
    tenants: list[str] | None = None
    ca: str | None = None


class KillcordDocument(Section):
    listen: ListenSection = ListenSection()
    data_dir: str = "./var"
    policy: PolicySection = PolicySection()
    candidate: CandidateSection | None = None
    journal: JournalSection = JournalSection()
    rates: RatesSection = RatesSection()
    adapters: list[str] = Field(default_factory=lambda: ["./adapters"])
    tools: dict[Name, ToolSection] = Field(default_factory=dict)
    task_classes: dict[Name, TaskClassSection] = Field(default_factory=dict)
    tenants: dict[str, LimitsSection] = Field(default_factory=dict)
    triggers: TriggersSection = TriggersSection()
    approvals: ApprovalsSection = ApprovalsSection()
    rollback: RollbackSection = RollbackSection()
    http: HttpSection = HttpSection()
    shutdown_grace: Duration = 10.0
    anchor: AnchorSection | None = None
    operators: OperatorsSection | None = None
    ambient_run: AmbientRunSection | None = None
    webhooks: dict[Name, WebhookSection] = Field(default_factory=dict)


def not_yet(located: Located) -> list[str]:
    """One problem for each thing asked for that is not built in yet."""
    found: list[str] = []
    for place, word, message in NOT_YET:
        for where in _places(located, place):
            value = located.at(where)
            if value is not None and (word is None or value == word):
                found.append(located.problem(where, message))
    return found


def _places(located: Located, pattern: tuple[str, ...]) -> list[tuple[str, ...]]:
    if "*" not in pattern:
        return [pattern]
    star = pattern.index("*")
    names = located.at(pattern[:star])
    return [(*pattern[:star], name, *pattern[star + 1 :]) for name in names] if isinstance(names, dict) else []
