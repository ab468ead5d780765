"""The killcord.yaml document: its keys, the kinds of their values, and what they must be to each other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from gateway.core import addresses
from gateway.core.authorization import gate
from gateway.core.webhook import delivery
from gateway.model.run import Limits, TaskClass
from gateway.model.webhook import Topic, Webhook
from gateway.settings import network, secrets
from gateway.settings.adapter import Fixed
from gateway.settings.document import Amount, Calls, Context, Count, Duration, Problem, Section, Size, between, closest, must
from gateway.settings.network import Address, Listen, OriginUrl, RedisConfig, RedisServer
from gateway.settings.own_requests import header_problem, key_problem, looks_secret
from gateway.settings.secrets import CredentialSection
from gateway.settings.triggers import TriggersSection

_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Scope = Annotated[
    str,
    must(lambda text: text == "*" or ":" in text, "{!r} is not a scope; write <tool>:<action pattern>, such as erp:invoice.*, or *"),
]
Host = Annotated[
    str,
    must(
        lambda text: addresses.literal(text.strip("[]")) or _HOST.fullmatch(text),
        "{!r} is not a host; write a host or address without scheme, port or *",
    ),
]
LeaseHeader = Annotated[
    Name,
    must(secrets.can_carry_lease, "{} cannot carry a lease; name the header of the clients' key, such as X-API-Key"),
]
ToolUrl = Annotated[
    OriginUrl,
    must(
        lambda at: addresses.allowed(at.host) or not addresses.literal(at.host),
        "{0.host} is a forbidden address: metadata, link-local or multicast",
    ),
]
FixedValue = Annotated[
    str,
    must(re.compile(r"[\x20-\x7e]{1,512}").fullmatch, "{!r} cannot be sent; write 1 to 512 visible ASCII characters, in quotes"),
]
Variable = Annotated[Any, must(lambda one: isinstance(one, (str, int)), "must be text, a whole number, true or false")]


class ListenSection(Section):
    data: Listen = Address("127.0.0.1", 8090)
    control: Listen = Address("127.0.0.1", 8091)

    def problems(self, context: Context) -> Iterator[Problem]:
        if self.control == self.data and (self.data.port or self.data.path):
            yield ("control",), f"{self.control} is also listen.data; the control API needs another address"


class PolicySection(Section):
    engine: Literal["embedded", "opa"] = "embedded"
    path: str = "./policies"
    url: OriginUrl | None = None
    timeout: Duration = 0.2

    def problems(self, context: Context) -> Iterator[Problem]:
        if self.engine == "opa":
            if self.url is None:
                yield (), "engine opa needs url: http://127.0.0.1:8181 or unix:///run/opa.sock"
            return
        yield from context.directory(self.path, "policies")
        if self.url is not None:
            yield ("url",), "is the URL of a real OPA; add engine: opa, or remove url"


class CandidateSection(Section):
    path: str

    def problems(self, context: Context) -> Iterator[Problem]:
        yield from context.directory(self.path, "candidate policies")


class JournalSection(Section):
    store: Annotated[
        Literal["sqlite", "postgres"], must(lambda word: word != "postgres", "store postgres is not implemented yet; use sqlite")
    ] = "sqlite"
    dsn: str | None = None


class RatesSection(Section):
    store: Literal["memory", "redis"] = "memory"
    url: RedisServer | None = Field(default=None, description="redis://host:port/0, rediss://user:${NAME}@host:port/0 or unix:///path:0")
    prefix: Annotated[
        str, must(re.compile(r"[A-Za-z0-9_.:-]{1,64}", re.ASCII).fullmatch, "must be 1 to 64 letters, digits, _ . : and -")
    ] = "killcord"
    timeout: Annotated[Duration, must(lambda seconds: seconds <= 10.0, "must be at most 10 s: every call waits for it")] = 0.1
    ca: str | None = None
    on_loss: Literal["deny", "share"] = "deny"
    share: Annotated[Count, between(1, 1_000)] | None = None

    def problems(self, context: Context) -> Iterator[Problem]:
        if self.store == "memory":
            if self.url is not None:
                yield ("url",), "needs store: redis; remove it for rates in memory"
            return
        if self.url is None:
            yield ("url",), "is missing; store: redis needs it, such as redis://127.0.0.1:6379/0"
        elif self.url.variable:
            yield from ((("url",), problem) for problem in context.variable(self.url.variable))
        if self.on_loss == "share" and self.share is None:
            yield ("share",), "is missing; on_loss: share needs the number of nodes"
        if self.on_loss == "deny" and self.share is not None:
            yield ("share",), "needs on_loss: share"
        yield from context.file(self.ca, "ca")

    def redis(self, context: Context) -> RedisConfig | None:
        """The server that meters rates; ``None`` is memory."""
        if self.store == "memory" or self.url is None:
            return None
        password = context.environ.get(self.url.variable) if self.url.variable else None
        ca = context.path(self.ca)
        return replace(self.url, password=password, prefix=self.prefix, timeout=self.timeout, ca=ca, share=self.share)


class LeaseInSection(Section):
    header: LeaseHeader | None = None
    basic: Literal["password"] | None = None

    def problems(self, context: Context) -> Iterator[Problem]:
        if bool(self.header) == bool(self.basic):
            yield (), "needs exactly one of header (its name) and basic: password"


class ToolSection(Section):
    adapter: str = Field(description="the name of a folder of adapters")
    base_url: ToolUrl = Field(description="http://host:port/path, https://... or unix:///path")
    credential: CredentialSection | None = None
    timeout: Duration = 10.0
    mode: Literal["enforce", "shadow"] = "enforce"
    until: date | None = None
    lease_in: LeaseInSection | None = None
    vars: dict[str, Variable] = Field(default_factory=dict)
    connections: Annotated[Count, between(1, 4_096)] = 64
    ca: str | None = None
    cookies: Literal["strip", "pass"] = "strip"
    public_url: OriginUrl | None = None
    headers: dict[str, FixedValue] = Field(default_factory=dict)
    query: dict[str, FixedValue] = Field(default_factory=dict)

    def problems(self, context: Context) -> Iterator[Problem]:
        yield from self._fixed_problems()
        if self.mode == "enforce" and self.until is not None:
            yield ("until",), "belongs to mode: shadow; add that, or remove until"
        if self.mode == "shadow" and self.until is None:
            yield ("mode",), "shadow needs until: YYYY-MM-DD, the first day on which policy is enforced"
        yield from context.file(self.ca, "ca")

    def _fixed_problems(self) -> Iterator[Problem]:
        secret = self.credential.header.lower() if self.credential is not None else None
        for key, values, problem_of in (("headers", self.headers, header_problem), ("query", self.query, key_problem)):
            for name, text in values.items():
                problem = problem_of(name)
                if problem is None and "${" in text:
                    problem = "is sent as it stands, without variables: write the text, or move a secret to credential"
                if problem is None and (looks_secret(name) or (key == "headers" and name.lower() == secret)):
                    problem = f"{name} looks like a secret, and would stand in the configuration; move it to credential"
                if problem is not None:
                    yield (key, name), problem
        if len({name.lower() for name in self.headers}) != len(self.headers):
            yield ("headers",), "names a header twice; remove one"

    @property
    def fixed(self) -> Fixed:
        """What every request to the tool carries, by name."""
        credential = self.credential.header.lower() if self.credential is not None else None
        return Fixed(frozenset(name.lower() for name in self.headers), frozenset(self.query), credential)

    @property
    def shadow_until(self) -> float:
        """The moment (Unix seconds) from which on policy is enforced; 0 if it is now."""
        return 0.0 if self.until is None else datetime(self.until.year, self.until.month, self.until.day, tzinfo=UTC).timestamp()


class LimitsSection(Section):
    rate: Calls | None = None
    steps: Count | None = None
    writes: Count | None = None
    records: Count | None = None
    tenants: Count | None = None
    systems: Count | None = None
    amount: dict[str, Amount] = Field(default_factory=dict)

    def limits(self) -> Limits:
        return Limits(**dict(self))


class TaskClassSection(Section):
    tenants: list[str] = Field(default_factory=lambda: ["*"])
    scopes: list[Scope] = Field(default_factory=lambda: ["*"])
    ttl: Duration = 28_800.0
    limits: LimitsSection = LimitsSection()
    total: LimitsSection | None = None

    def task_class(self, name: str) -> TaskClass:
        return TaskClass(
            name=name,
            tenants=tuple(self.tenants),
            scopes=tuple(self.scopes),
            ttl=self.ttl,
            limits=self.limits.limits(),
            total=self.total.limits() if self.total else None,
        )


class ApprovalsSection(Section):
    ttl: Duration = Field(default=3_600.0, description="how long an approval waits for an answer, and how long it is valid")


class RollbackSection(Section):
    patience: Duration = Field(
        default=900.0, description="how long a rollback waits for an unavailable tool before a person must continue it"
    )


class HttpSection(Section):
    body_cap: Size = 1_048_576
    body_timeout: Duration = 10.0
    allowed_hosts: list[Host] = Field(default_factory=lambda: ["localhost", "127.0.0.1", "::1"])
    blast_radius_status: Literal[403, 429] = 403


class AnchorSection(Section):
    file: str


class OperatorsSection(Section):
    tokens_file: str


class AmbientRunSection(Section):
    tenant: str
    agent_id: str
    task_class: str = "default"
    scopes: list[Scope] = Field(description="what the run may do, such as ['erp:*']")


class WebhookSection(Section):
    url: str = Field(description="https://host/path", repr=False)  # a receiver's path is often its secret
    secret: Any = Field(default=None, repr=False)  # checked without ever being shown
    events: Annotated[
        list[Annotated[Topic, Field(strict=False)]], must(len, f"is empty; name one or more of {', '.join(Topic)}, or remove it for all")
    ] = Field(default_factory=lambda: list(Topic))
    timeout: Annotated[Duration, must(lambda seconds: seconds <= 60.0, "must be at most 60 s")] = 5.0
    attempts: Annotated[Count, between(1, 1_000)] = 8
    tenants: (
        Annotated[list[str], must(len, "is empty, so that nothing would be sent; name tenants, or remove it for everything")] | None
    ) = None
    ca: str | None = None

    def problems(self, context: Context) -> Iterator[Problem]:
        """Neither the url nor the secret is repeated."""
        if not context.secrets:
            return
        try:
            network.webhook_host(secrets.expanded(self.url, context))
        except ValueError as wrong:
            yield ("url",), str(wrong)
        try:
            delivery.key(secrets.read(self.secret, context))
        except ValueError as wrong:
            yield ("secret",), str(wrong)
        yield from context.file(self.ca, "ca")

    def webhook(self, name: str, context: Context) -> Webhook:
        """A webhook of which :meth:`problems` found nothing."""
        url = secrets.expanded(self.url, context)
        return Webhook(
            name=name,
            host=network.webhook_host(url),
            url=url,
            key=delivery.key(secrets.read(self.secret, context)),
            topics=frozenset(self.events),
            timeout=self.timeout,
            attempts=self.attempts,
            tenants=None if self.tenants is None else frozenset(self.tenants),
            ca=context.path(self.ca),
        )


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

    def problems(self, context: Context) -> Iterator[Problem]:
        if not self.tools:
            yield ("tools",), "is empty; a gateway needs at least one tool"
        path = context.folder / self.data_dir
        if path.exists() and not path.is_dir():
            yield ("data_dir",), f"{path} is not a folder; name a folder, or a path that does not exist yet"
        elif path.is_dir() and (mode := path.stat().st_mode & 0o777) & 0o077:
            yield ("data_dir",), f"{path} is open to others (mode {mode:04o}); run: chmod 700 {path}"
        if self.ambient_run is not None:
            yield from ((("ambient_run", *place), message) for place, message in self._ambient_problems(self.ambient_run))

    def _ambient_problems(self, run: AmbientRunSection) -> Iterator[Problem]:
        name, ceiling = run.task_class, self.task_classes.get(run.task_class)
        if not self.listen.data.loopback:
            yield (), f"needs listen.data on loopback, not {self.listen.data}: anyone who reaches that address would be the agent"
        if ceiling is None:
            yield ("task_class",), f"there is no {name} under task_classes" + closest(name, self.task_classes)
            return
        if gate.beyond([run.tenant], ceiling.tenants):
            yield ("tenant",), f"{run.tenant} is not one of the tenants of task class {name}"
        for scope in gate.beyond(run.scopes, ceiling.scopes):
            message = f"{scope} is wider than the scopes of task class {name}: {', '.join(ceiling.scopes)}"
            yield ("scopes", run.scopes.index(scope)), message
