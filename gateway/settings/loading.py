"""From killcord.yaml to a :class:`Config`: every problem is found before any is told."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from gateway import errors
from gateway.core import addresses
from gateway.core.authorization import lease
from gateway.model.run import Limits, TaskClass
from gateway.model.webhook import Webhook
from gateway.settings import compilation, credential, document, located, origin, rates, sections, triggers, webhooks
from gateway.settings.config import AmbientRun, Config, HttpConfig, PolicyConfig, ToolConfig
from gateway.settings.located import Located, Where
from gateway.settings.sections import AmbientRunSection, KillcordDocument, LimitsSection, TaskClassSection, ToolSection

_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)


def load(path: Path, environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration.

    Raises:
        Misconfigured: it, or an adapter that it names, cannot be used; one line per problem.
    """
    config, problems = read(path, environ)
    if config is None or problems:
        raise errors.Misconfigured(problems)
    return config


def read(path: Path, environ: Mapping[str, str]) -> tuple[Config | None, list[str]]:
    """The configuration and every problem; it is not to be started with while there are any. ``None`` where it cannot be read."""
    found, problems = located.read(path)
    if problems:
        return None, problems
    parsed, problems = document.validate(found, KillcordDocument)
    problems = [*problems, *sections.not_yet(found)]
    if parsed is None:
        return None, problems
    build = _Build(found, path.resolve().parent, dict(environ), parsed, problems)
    config = build.config(path)
    return config, list(dict.fromkeys(build.problems))


def limits(section: LimitsSection) -> Limits:
    """Limits as the model has them; amounts are in millionths already."""
    return Limits(**{name: getattr(section, name) for name in LimitsSection.model_fields})


def task_class(name: str, section: TaskClassSection) -> TaskClass:
    return TaskClass(
        name=name,
        tenants=tuple(section.tenants),
        scopes=tuple(section.scopes),
        ttl=section.ttl,
        limits=limits(section.limits),
        total=limits(section.total) if section.total else None,
    )


@dataclass(frozen=True, slots=True)
class _Build:
    located: Located
    folder: Path
    environ: Mapping[str, str]
    parsed: KillcordDocument
    problems: list[str] = field(default_factory=list)

    def tell(self, where: Where, message: str) -> None:
        self.problems.append(self.located.problem(where, message))

    def config(self, path: Path) -> Config:
        parsed = self.parsed
        if not parsed.tools:
            self.tell(("tools",), "names no tool; a gateway needs at least one")
        built = {name: self._tool(name, one) for name, one in parsed.tools.items()}
        self._check_scopes()
        self._check_doors()
        return Config(
            path=path.resolve(),
            data=parsed.listen.data,
            control=parsed.listen.control,
            data_dir=self._data_dir(),
            policy=self._policy(),
            candidate=self._candidate(),
            tools={name: one for name, one in built.items() if one},
            task_classes={name: task_class(name, one) for name, one in parsed.task_classes.items()},
            tenants={name: limits(one) for name, one in parsed.tenants.items()},
            triggers=triggers.thresholds(parsed.triggers),
            http=HttpConfig(parsed.http.body_cap, parsed.http.body_timeout, tuple(parsed.http.allowed_hosts)),
            shutdown_grace=parsed.shutdown_grace,
            approval_ttl=parsed.approvals.ttl,
            rollback_patience=parsed.rollback.patience,
            rates=self._rates(),
            anchor=self.folder / parsed.anchor.file if parsed.anchor else None,
            tokens_file=self.folder / parsed.operators.tokens_file if parsed.operators else None,
            ambient_run=self._ambient_run(),
            webhooks=self._webhooks(),
        )

    def _data_dir(self) -> Path:
        path = self.folder / self.parsed.data_dir
        if path.exists() and not path.is_dir():
            self.tell(("data_dir",), f"{path} is no folder; name one that is, or does not exist yet")
        elif path.is_dir() and (mode := path.stat().st_mode & 0o777) & 0o077:
            self.tell(("data_dir",), f"{path} is open to others (mode {mode:04o}); run: chmod 700 {path}")
        return path

    def _policy(self) -> PolicyConfig:
        section = self.parsed.policy
        path = self.folder / section.path
        if section.engine == "opa":
            return PolicyConfig(path, section.timeout, self._opa(section.url))
        if not path.is_dir():
            self.tell(("policy", "path"), f"there is no folder {path}; name the one that holds the policies")
        if section.url is not None:
            self.tell(("policy", "url"), "is where a real OPA is; say engine: opa as well, or drop it")
        return PolicyConfig(path, section.timeout)

    def _candidate(self) -> Path | None:
        section = self.parsed.candidate
        path = None if section is None else self.folder / section.path
        if path is not None and not path.is_dir():
            self.tell(("candidate", "path"), f"there is no folder {path}; name the one that holds the candidate policies")
        return path

    def _shadow(self, section: ToolSection, where: Where) -> float:
        """The moment (UTC) at which a tool in shadow mode begins to be held to policy; 0 for one that is held to it now."""
        if section.mode == "enforce":
            if section.until is not None:
                self.tell((*where, "until"), "goes with mode: shadow; drop it, or say so")
            return 0.0
        if section.until is None:
            self.tell((*where, "mode"), "shadow needs until: YYYY-MM-DD, the first day on which policy is enforced")
            return 0.0
        return datetime(section.until.year, section.until.month, section.until.day, tzinfo=UTC).timestamp()

    def _opa(self, url: str | None) -> origin.Origin | None:
        if url is None:
            self.tell(("policy",), "engine opa needs url: http://127.0.0.1:8181 or unix:///run/opa.sock")
            return None
        try:
            return origin.parse(url)
        except ValueError as error:
            self.tell(("policy", "url"), str(error))
            return None

    def _rates(self) -> rates.RedisConfig | None:
        section = self.parsed.rates
        found = rates.problems(section, self.folder, self.environ)
        for key, message in found:
            self.tell(("rates", key), message)
        return None if found else rates.rates(section, self.folder, self.environ)

    def _ambient_run(self) -> AmbientRun | None:
        section, where = self.parsed.ambient_run, ("ambient_run",)
        if section is None:
            return None
        if not self.parsed.listen.data.loopback:
            self.tell(where, f"needs listen.data on loopback, not {self.parsed.listen.data}: whoever reaches the door would be the agent")
        if section.task_class not in self.parsed.task_classes:
            known = self.parsed.task_classes
            self.tell(
                (*where, "task_class"), f"there is no {section.task_class} under task_classes" + document.closest(section.task_class, known)
            )
        else:
            self._check_ambient(section, self.parsed.task_classes[section.task_class])
        return AmbientRun(section.tenant, section.agent_id, section.task_class, tuple(section.scopes))

    def _webhooks(self) -> tuple[Webhook, ...]:
        built = []
        for name, section in self.parsed.webhooks.items():
            found = webhooks.problems(section, self.folder, self.environ)
            for key, message in found:
                self.tell(("webhooks", name, key), message)
            if not found:
                built.append(webhooks.webhook(name, section, self.folder, self.environ))
        return tuple(built)

    def _check_ambient(self, section: AmbientRunSection, ceiling: TaskClassSection) -> None:
        name = section.task_class
        if lease.beyond([section.tenant], ceiling.tenants):
            self.tell(("ambient_run", "tenant"), f"{section.tenant} is none of the tenants of task class {name}")
        for scope in lease.beyond(section.scopes, ceiling.scopes):
            where = ("ambient_run", "scopes", section.scopes.index(scope))
            self.tell(where, f"{scope} is wider than the scopes of task class {name}: {', '.join(ceiling.scopes)}")

    def _check_scopes(self) -> None:
        asked: dict[Where, list[str]] = {("task_classes", name, "scopes"): one.scopes for name, one in self.parsed.task_classes.items()}
        if self.parsed.ambient_run:
            asked["ambient_run", "scopes"] = self.parsed.ambient_run.scopes
        for where, found in asked.items():
            for place, scope in enumerate(found):
                if scope != "*" and ":" not in scope:
                    self.tell((*where, place), f"{scope!r} is no scope; write <tool>:<action pattern>, such as erp:invoice.*, or *")

    def _check_doors(self) -> None:
        listen, hosts = self.parsed.listen, self.parsed.http.allowed_hosts
        if listen.control == listen.data and (listen.data.port or listen.data.path):
            self.tell(("listen", "control"), f"{listen.control} is where agents call (listen.data); operators need an address of their own")
        for place, host in enumerate(hosts):
            if not addresses.literal(host.strip("[]")) and not _HOST.fullmatch(host):
                message = f"{host!r} is no host; name each host or address by itself, without scheme, port or *"
                self.tell(("http", "allowed_hosts", place), message)

    def _tool(self, name: str, section: ToolSection) -> ToolConfig | None:
        where = ("tools", name)
        found = self._origin(section, where)
        secret = self._credential(section, where)
        self._check_lease_in(section, where)
        shadow = self._shadow(section, where)
        ca = None if section.ca is None else self.folder / section.ca
        if ca is not None and not ca.is_file():
            self.tell((*where, "ca"), f"there is no file {ca}")
        if not 1 <= section.connections <= 4_096:
            self.tell((*where, "connections"), "must be from 1 to 4096")
        for key, value in section.vars.items():
            if not isinstance(value, (str, int)):
                self.tell((*where, "vars", key), "must be text, a whole number, true or false")
        folder = self._adapter(section, where)
        if folder is None:
            return None
        built, problems = compilation.load(folder, name, section.vars, shown=self._shown(folder / compilation.FILE))
        self.problems.extend(problems)
        if built is None or found is None:
            return None
        lease_in = section.lease_in
        return ToolConfig(
            name=name,
            adapter=section.adapter,
            catalog=built,
            origin=found,
            credential=secret,
            timeout=section.timeout,
            lease_header=lease_in.header.encode("ascii") if lease_in and lease_in.header else None,
            lease_basic=bool(lease_in and lease_in.basic),
            connections=section.connections,
            ca=ca,
            shadow_until=shadow,
        )

    def _origin(self, section: ToolSection, where: Where) -> origin.Origin | None:
        try:
            found = origin.parse(section.base_url)
        except ValueError as error:
            self.tell((*where, "base_url"), str(error))
            return None
        if addresses.literal(found.host) and not addresses.allowed(found.host):
            self.tell((*where, "base_url"), f"{found.host} is an address that no tool may have: metadata, link-local, multicast")
        return found

    def _credential(self, section: ToolSection, where: Where) -> credential.Credential | None:
        one = section.credential
        if one is None:
            return None
        problems = credential.problems(one.header, one.value, one.file, self.folder, self.environ)
        for key, message in problems:
            self.tell((*where, "credential", key) if key else (*where, "credential"), message)
        return None if problems else credential.credential(one.header or "", one.value, one.file, self.folder, self.environ)

    def _check_lease_in(self, section: ToolSection, where: Where) -> None:
        if section.lease_in and bool(section.lease_in.header) == bool(section.lease_in.basic):
            self.tell((*where, "lease_in"), "needs exactly one of header (its name) and basic: password")
        header = section.lease_in.header if section.lease_in else None
        if header is not None and not credential.can_carry(header):
            message = f"{header} cannot carry a lease; name the header in which the tool's clients put their key, such as X-API-Key"
            self.tell((*where, "lease_in", "header"), message)

    def _adapter(self, section: ToolSection, where: Where) -> Path | None:
        roots = [self.folder / root for root in self.parsed.adapters]
        for root in roots:
            if (root / section.adapter / compilation.FILE).is_file() and "/" not in section.adapter:
                return root / section.adapter
        known = sorted(found.parent.name for root in roots for found in root.glob(f"*/{compilation.FILE}"))
        there = f"; there are {', '.join(known)}" if known else ""
        self.tell((*where, "adapter"), f"no adapter {section.adapter!r} in {', '.join(map(str, self.parsed.adapters))}{there}")
        return None

    def _shown(self, path: Path) -> str:
        return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
