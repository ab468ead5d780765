"""From killcord.yaml to the configuration as the composition root takes it: every problem is found before any is reported."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway import errors
from gateway.core.adapter import catalog
from gateway.core.triggers.window import Thresholds
from gateway.model.run import Limits, TaskClass
from gateway.model.webhook import Webhook
from gateway.settings import compilation, document
from gateway.settings.document import Context, Located
from gateway.settings.network import Origin, RedisConfig
from gateway.settings.secrets import Credential
from gateway.settings.sections import KillcordDocument, ToolSection
from gateway.settings.triggers import thresholds


@dataclass(frozen=True, slots=True)
class ToolConfig:
    """One tool as it is declared in ``section``, with its adapter's catalog. ``ca`` is an absolute path."""

    name: str
    section: ToolSection
    catalog: catalog.Tool
    credential: Credential | None
    ca: Path | None


@dataclass(frozen=True, slots=True)
class PolicyConfig:
    """``timeout`` in seconds. Without ``opa`` (where a real OPA is) the folder at ``path`` is evaluated in this process."""

    path: Path
    timeout: float
    opa: Origin | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """``settings`` is the document as it was read, with its defaults; beside it stands what is made of it. Paths are absolute.

    ``tenants`` holds limits by tenant, ``*`` those of every tenant without its own. ``rates`` is ``None`` if they are metered in memory.
    """

    path: Path
    settings: KillcordDocument
    data_dir: Path
    policy: PolicyConfig
    candidate: Path | None
    tools: Mapping[str, ToolConfig]
    task_classes: Mapping[str, TaskClass]
    tenants: Mapping[str, Limits]
    triggers: Thresholds
    rates: RedisConfig | None
    anchor: Path | None
    tokens_file: Path | None
    webhooks: tuple[Webhook, ...]


def load(path: Path, environ: Mapping[str, str] = os.environ, *, secrets: bool = True) -> Config:
    """The configuration.

    Raises:
        Misconfigured: it, or an adapter that it names, cannot be used; one line per problem.
    """
    config, problems = read(path, environ, secrets=secrets)
    if config is None or problems:
        raise errors.Misconfigured(problems)
    return config


def read(path: Path, environ: Mapping[str, str], *, secrets: bool = True) -> tuple[Config | None, list[str]]:
    """The configuration and every problem; no gateway may start with it while there are any. ``None`` if it cannot be read."""
    found, problems = document.read(path)
    if problems:
        return None, problems
    parsed, problems = document.validate(found, KillcordDocument)
    if parsed is None:
        return None, problems
    context = Context(path.resolve().parent, dict(environ), secrets)
    wrong = list(document.contradictions(parsed, context))
    problems = [found.problem(where, message) for where, message in wrong]
    tools: dict[str, ToolConfig] = {}
    for name, section in parsed.tools.items():
        tool, more = _tool(name, section, found, context, parsed.adapters)
        problems += more
        tools |= {name: tool} if tool else {}
    unusable = {where[1] for where, _ in wrong if where[:1] == ("webhooks",)}
    policy = parsed.policy
    config = Config(
        path=path.resolve(),
        settings=parsed,
        data_dir=context.folder / parsed.data_dir,
        policy=PolicyConfig(context.folder / policy.path, policy.timeout, policy.url if policy.engine == "opa" else None),
        candidate=context.path(parsed.candidate.path if parsed.candidate else None),
        tools=tools,
        task_classes={name: one.task_class(name) for name, one in parsed.task_classes.items()},
        tenants={name: one.limits() for name, one in parsed.tenants.items()},
        triggers=thresholds(parsed.triggers),
        rates=parsed.rates.redis(context),
        anchor=context.path(parsed.anchor.file if parsed.anchor else None),
        tokens_file=context.path(parsed.operators.tokens_file if parsed.operators else None),
        webhooks=tuple(one.webhook(name, context) for name, one in parsed.webhooks.items() if secrets and name not in unusable),
    )
    return config, list(dict.fromkeys(problems))


def _tool(name: str, section: ToolSection, found: Located, context: Context, adapters: list[str]) -> tuple[ToolConfig | None, list[str]]:
    """The tool with the catalog of its adapter, which is a folder in one of ``adapters``; ``None`` and the problems if there is none."""
    roots = [context.folder / root for root in adapters]
    files = [root / section.adapter / compilation.FILE for root in roots]
    file = next((one for one in files if one.is_file() and "/" not in section.adapter), None)
    if file is None:
        known = sorted(one.parent.name for root in roots for one in root.glob(f"*/{compilation.FILE}"))
        there = f"; known: {', '.join(known)}" if known else ""
        message = f"no adapter {section.adapter!r} in {', '.join(adapters)}{there}"
        return None, [found.problem(("tools", name, "adapter"), message)]
    shown = os.path.relpath(file) if file.is_relative_to(Path.cwd()) else str(file)
    built, problems = compilation.load(file.parent, name, section.vars, shown=shown, fixed=section.fixed)
    if built is None:
        return None, problems
    credential = section.credential.credential(context) if section.credential else None
    return ToolConfig(name, section, built, credential, context.path(section.ca)), problems
