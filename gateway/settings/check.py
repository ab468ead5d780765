"""What ``killcord check`` reports: problems, warnings, and what the configuration would open up."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway import errors
from gateway.core.adapter.versions import Guard
from gateway.core.rollback.effects import STATEFUL
from gateway.model.call import Effect
from gateway.settings import config as settings
from gateway.settings import free_text, operators
from gateway.settings.config import Config, ToolConfig


@dataclass(frozen=True, slots=True)
class ToolSummary:
    """One tool in a line: how many actions of each kind, and which writes a person has to undo."""

    name: str
    adapter: str
    base_url: str
    reads: int
    writes: int
    by_hand: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """``problems`` stop a start, ``warnings`` do not; ``tools`` is empty if there are problems."""

    problems: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    tools: tuple[ToolSummary, ...] = ()


def check(path: Path, environ: Mapping[str, str] = os.environ, *, extra: Callable[[Config], list[str]] = lambda _: []) -> Report:
    """Read a configuration and all that it names, without starting anything; ``extra`` finds problems that this package cannot see."""
    config, problems = settings.read(path, environ)
    if config is None:
        return Report(tuple(problems))
    if config.tokens_file is not None:
        try:
            operators.load(config.tokens_file)
        except errors.Misconfigured as error:
            problems += error.problems
    problems += extra(config)
    if problems:
        return Report(tuple(problems))
    return Report(
        (), tuple(f"{config.path.name}: {warning}" for warning in _warnings(config)), tuple(_summary(one) for one in config.tools.values())
    )


def _summary(tool: ToolConfig) -> ToolSummary:
    actions = tool.catalog.actions.values()
    reads = sum(action.effect is Effect.READ for action in actions)
    by_hand = tuple(action.name for action in actions if action.undo is not None and not action.undo.remedy.by_action)
    return ToolSummary(tool.name, tool.section.adapter, str(tool.section.base_url), reads, len(actions) - reads, by_hand)


def _warnings(config: Config) -> Iterator[str]:
    if not config.task_classes:
        yield "no task_classes: no run can be opened"
    if config.tokens_file is None:
        yield "no operators: only KILLCORD_BOOTSTRAP_TOKEN gives access to the control API"
    elif not config.tokens_file.exists():
        yield f"operators: there is no {config.tokens_file} yet; run: killcord operators add NAME --role admin"
    if config.anchor is None:
        yield "no anchor: a truncated journal will not be detected"
    opa = config.policy.opa
    if opa is not None and opa.sent_in_plain_text:
        yield f"policy.url: plain http to {opa.host}: anyone on the network path can decide in its place"
    for webhook in config.webhooks:
        if webhook.sent_in_plain_text:
            yield f"webhooks.{webhook.name}: plain http to {webhook.host}: the network can read its events"
    yield from _scopes(config)
    yield from _amounts(config)
    for tool in config.tools.values():
        yield from _tool(tool)


def _scopes(config: Config) -> Iterator[str]:
    for task_class in config.task_classes.values():
        for scope in task_class.scopes:
            tool = scope.partition(":")[0]
            if "*" not in tool and tool not in config.tools:
                yield f"task_classes.{task_class.name}: the scope {scope} does not name a tool of this file"


def _amounts(config: Config) -> Iterator[str]:
    priced = {name for tool in config.tools.values() for action in tool.catalog.actions.values() for name in action.cost.amounts}
    for task_class in config.task_classes.values():
        for name in sorted(set(task_class.limits.amount) - priced):
            yield f"task_classes.{task_class.name}: no action has a cost.amount.{name}: the limit has no effect"


def _tool(tool: ToolConfig) -> Iterator[str]:
    name = f"tools.{tool.name}"
    if tool.section.base_url.sent_in_plain_text:
        yield f"{name}: plain http to {tool.section.base_url.host}: the secret and the data cross the network in plain text"
    if tool.credential is not None and tool.credential.inline:
        yield f"{name}.credential: the secret is written in the file itself; move it to an environment variable or a file"
    secret = tool.credential.one_file if tool.credential else None
    if secret is not None and secret.stat().st_mode & stat.S_IROTH:
        yield f"{name}.credential: {secret} can be read by everyone; run: chmod 600 {secret}"
    yield from (f"{name}: {warning}" for warning in free_text.warnings(tool.catalog))
    yield from _unversioned(tool, name)
    for action in tool.catalog.actions.values():
        find = None if action.probe is None else action.probe.find
        if find is not None and find.whole is None:
            yield f"{name}: {action.name} has probe.find without whole: a person decides about a create that its listing does not show"
    if tool.catalog.unlisted_write:
        yield f"{name}: its adapter allows writes that it does not list: they can never be undone"


def _unversioned(tool: ToolConfig, name: str) -> Iterator[str]:
    """What is declared to be undone without a person, and cannot be: nothing shows whether somebody changed the object meanwhile."""
    for action in tool.catalog.actions.values():
        thing, undo = tool.catalog.objects.get(action.object_type or ""), action.undo
        if undo is None or not undo.automatic or undo.remedy not in STATEFUL:
            continue
        if thing is None or thing.version is None:
            yield (
                f"{name}: {action.name} has {undo.remedy} with auto: true, but its object has no version: every rollback of it is a task; "
                "if the tool gives none, declare version: {digest_of: state}"
            )
        elif thing.version_in_body and action.guard not in (None, Guard.COMPARE):
            yield (
                f"{name}: {action.name} has guard: {action.guard}, and the version of its object comes from the body: If-Match holds it "
                "only if it is a quoted entity tag; otherwise the gateway compares it. If that is meant, set guard: compare"
            )
