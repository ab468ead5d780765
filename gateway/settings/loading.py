"""From killcord.yaml to a :class:`Config`: every problem is found before any is reported."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway import errors
from gateway.settings import compilation, document, located
from gateway.settings.config import Config, PolicyConfig, ToolConfig
from gateway.settings.document import Context
from gateway.settings.located import Located
from gateway.settings.sections import KillcordDocument, ToolSection
from gateway.settings.triggers import thresholds


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
    """The configuration and every problem; no gateway may start with it while there are any. ``None`` if it cannot be read."""
    found, problems = located.read(path)
    if problems:
        return None, problems
    parsed, problems = document.validate(found, KillcordDocument)
    if parsed is None:
        return None, problems
    context = Context(path.resolve().parent, dict(environ))
    wrong = list(document.contradictions(parsed, context))
    problems = [found.problem(where, message) for where, message in wrong]
    tools = _Tools(found, context, parsed.adapters, problems)
    built = {name: tool for name, section in parsed.tools.items() if (tool := tools.tool(name, section))}
    unusable = {where[1] for where, _ in wrong if where[:1] == ("webhooks",)}
    config = Config(
        path=path.resolve(),
        data=parsed.listen.data,
        control=parsed.listen.control,
        data_dir=context.folder / parsed.data_dir,
        policy=PolicyConfig(
            context.folder / parsed.policy.path, parsed.policy.timeout, parsed.policy.url if parsed.policy.engine == "opa" else None
        ),
        candidate=context.path(parsed.candidate.path if parsed.candidate else None),
        tools=built,
        task_classes={name: one.task_class(name) for name, one in parsed.task_classes.items()},
        tenants={name: one.limits() for name, one in parsed.tenants.items()},
        triggers=thresholds(parsed.triggers),
        http=parsed.http,
        shutdown_grace=parsed.shutdown_grace,
        approval_ttl=parsed.approvals.ttl,
        rollback_patience=parsed.rollback.patience,
        rates=parsed.rates.redis(context),
        anchor=context.path(parsed.anchor.file if parsed.anchor else None),
        tokens_file=context.path(parsed.operators.tokens_file if parsed.operators else None),
        ambient_run=parsed.ambient_run,
        webhooks=tuple(one.webhook(name, context) for name, one in parsed.webhooks.items() if name not in unusable),
    )
    return config, list(dict.fromkeys(problems))


@dataclass(frozen=True, slots=True)
class _Tools:
    """Builds each tool with its adapter's catalog; ``adapters`` are the folders to look for adapters in."""

    located: Located
    context: Context
    adapters: list[str]
    problems: list[str]

    def tool(self, name: str, section: ToolSection) -> ToolConfig | None:
        folder = self._adapter(name, section)
        if folder is None:
            return None
        file = folder / compilation.FILE
        shown = os.path.relpath(file) if file.is_relative_to(Path.cwd()) else str(file)
        built, problems = compilation.load(folder, name, section.vars, shown=shown)
        self.problems.extend(problems)
        if built is None:
            return None
        lease_in = section.lease_in
        return ToolConfig(
            name=name,
            adapter=section.adapter,
            catalog=built,
            origin=section.base_url,
            credential=section.credential.credential(self.context) if section.credential else None,
            timeout=section.timeout,
            lease_header=lease_in.header.encode("ascii") if lease_in and lease_in.header else None,
            lease_basic=bool(lease_in and lease_in.basic),
            connections=section.connections,
            ca=self.context.path(section.ca),
            shadow_until=section.shadow_until,
        )

    def _adapter(self, tool: str, section: ToolSection) -> Path | None:
        roots = [self.context.folder / root for root in self.adapters]
        for root in roots:
            if (root / section.adapter / compilation.FILE).is_file() and "/" not in section.adapter:
                return root / section.adapter
        known = sorted(found.parent.name for root in roots for found in root.glob(f"*/{compilation.FILE}"))
        there = f"; known: {', '.join(known)}" if known else ""
        message = f"no adapter {section.adapter!r} in {', '.join(self.adapters)}{there}"
        self.problems.append(self.located.problem(("tools", tool, "adapter"), message))
        return None
