"""What an adapter's parts must be to each other, so that a declared compensation, verify or probe can really be carried out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.core.adapter import catalog, dependencies, members, probing
from gateway.core.adapter.catalog import ActionType, ObjectType, Tool
from gateway.core.adapter.versions import Guard
from gateway.model.call import BodyKind, Effect, Remedy
from gateway.settings.adapter import ActionDocument, AdapterDocument, CompensationDocument, Site
from gateway.settings.document import closest

_HEADER = re.compile(r"[A-Za-z0-9-]+", re.ASCII)
_KEYLESS = frozenset({"authorization", "host", "connection", "content-length", "content-type", "transfer-encoding", "if-match", "cookie"})
_WRITES_ONLY = ("classes", "compensation", "guard", "verify", "probe", "creates", "failed", "dry_run", "pending")
_OFFSETS = (Remedy.OFFSETTING_ACTION, Remedy.RELEASE)


@dataclass(frozen=True, slots=True)
class _Subject:
    """One action as it is declared and as it compiled; ``site`` is its place."""

    site: Site
    adapter: AdapterDocument
    tool: Tool
    declared: ActionDocument
    action: ActionType

    @property
    def kind(self) -> ObjectType | None:
        return self.tool.objects.get(self.action.object_type or "")

    @property
    def versioned(self) -> bool:
        """Whether it is aimed at an object that has a version."""
        return self.action.object is not None and self.kind is not None and self.kind.version is not None

    def other(self, name: str, site: Site) -> ActionType | None:
        """The action of this name; ``None`` if there is none, which is reported, or if it has a problem of its own."""
        names = [one.name for one in self.adapter.actions]
        if name not in names:
            site.report(f"there is no action {name}" + closest(name, names))
        return self.tool.actions.get(name)

    def lacks(self, names: Iterable[str]) -> list[str]:
        """Those that this action's path does not give."""
        return [name for name in names if name not in self.action.template.names]


def check(site: Site, adapter: AdapterDocument, tool: Tool, actions: Mapping[int, ActionType]) -> None:
    """Report every contradiction. ``actions`` are those that compiled, by their place in the document."""
    if not adapter.actions:
        site.report("is empty; list the calls that agents may make", "actions")
    _check_names(site, adapter)
    _check_order(site, actions)
    for place, action in actions.items():
        one = _Subject(site.at("actions", place), adapter, tool, adapter.actions[place], action)
        _check_target(one)
        for each in _READ_CHECKS if action.effect is Effect.READ else _WRITE_CHECKS:
            each(one)


def _check_names(site: Site, adapter: AdapterDocument) -> None:
    seen: set[str] = set()
    for place, one in enumerate(adapter.actions):
        if one.name in seen:
            site.report(f"there is another action {one.name}; names must be unique", "actions", place, "name")
        if one.name in ("unlisted.read", "unlisted.write"):
            site.report(f"{one.name} is reserved for unlisted calls; choose another name", "actions", place, "name")
        seen.add(one.name)


def _check_order(site: Site, actions: Mapping[int, ActionType]) -> None:
    """Of two actions that match a call the first in the file is used: one that is never used would be an error."""
    earlier: list[ActionType] = []
    for place, action in actions.items():
        if hides := next((one for one in earlier if _hides(one, action)), None):
            site.report(f"never reached: {hides.name}, above it, matches all its calls; put this one first", "actions", place, "match")
        earlier.append(action)


def _hides(first: ActionType, second: ActionType) -> bool:
    if first.method != second.method or not first.template.covers(second.template):
        return False
    if first.match_query is not None and (second.match_query is None or not second.match_query <= first.match_query):
        return False
    return all(
        mine is None or mine == other
        for mine, other in ((first.match_headers, second.match_headers), (first.match_body, second.match_body))
    )


def _check_target(one: _Subject) -> None:
    """The tenant and the object that the action names."""
    site, action, capture = one.site, one.action, one.tool.tenant_capture
    if capture is not None and capture not in action.template.names:
        site.report(f"tenant is request.path.{capture}, but this path has no {{{capture}}}: every call would be refused", "match", "path")
    if action.object and action.creates:
        site.report("set object (its target) or creates (its result), not both", "object")
    if action.creates and action.creates.id.keys == ("reply", "headers", "location"):
        site.report('is a URL; take the id out of it: "segment(reply.headers.location, `-1`)"', "creates", "id")
    place = ("creates", "object") if action.creates else ("object",)
    if action.object_type is not None and action.object_type not in one.adapter.objects:
        site.report(f"there is no {action.object_type} under objects" + closest(action.object_type, one.adapter.objects), *place)
    # A list is of a type without being of one object.
    elif one.kind is not None and action.effect is not Effect.READ:
        given = ("id",) if action.creates else ()
        if missing := [name for name in one.lacks(one.kind.template.names) if name not in given]:
            listed = ", ".join(f"{{{name}}}" for name in missing)
            site.report(f"the path of {action.object_type} needs {listed}, which this action's path does not capture", *place)


def _check_body(one: _Subject) -> None:
    """What an action says of its body must not need what it lets pass unread."""
    if one.action.body_kind is not BodyKind.OPAQUE:
        return
    if one.declared.request_schema is not None:
        one.site.report("cannot judge a body that is not read; remove it, or body: opaque", "request_schema")
    for expression in catalog.expressions(one.action):
        if any(path[:2] == ("request", "body") for path in members.of((expression,))):
            one.site.report(
                f"opaque bodies are not read, and {expression.text!r} reads request.body; "
                "take it from the path, the query or a header, or remove body: opaque",
                "body",
            )
            return


def _check_read(one: _Subject) -> None:
    for name in _WRITES_ONLY:
        if getattr(one.declared, name) is not None:
            one.site.report("only a write may have this; remove it, or set effect: write", "class" if name == "classes" else name)


def _check_fallback(one: _Subject) -> None:
    """The fallback of a read is called without a person: it has to be a plain read, and this action must give all that it needs."""
    site, name = one.site.at("fallback"), one.action.fallback
    other = one.other(name, site) if name is not None else None
    if other is None:
        return
    if other is one.action:
        site.report("is this action itself; name another read, or remove it")
    elif other.effect is not Effect.READ or other.method != "GET":
        site.report(f"{name} is not a read by GET; a fallback must change nothing and need no body")
    elif other.match_headers or other.match_body:
        site.report(f"{name} must match by path, not by header or body: a fallback sends neither; name another read")
    elif missing := one.lacks(other.template.names):
        site.report(f"the path of {name} needs {{{missing[0]}}}, which this action's path does not capture")


def _check_write(one: _Subject) -> None:
    declared, site = one.declared, one.site
    if declared.classes is None:
        site.report("a write needs a class: reversible, compensatable or irreversible", "class")
    if declared.fallback is not None:
        site.report("only a read may have this: a write could run twice; remove it", "fallback")
    if declared.compensation is None:
        site.report("is missing; a write needs one: if no call can undo it, {type: manual_review}", "compensation")
    rules = declared.classes.when if declared.classes else []
    if declared.classes and not rules:
        site.report("needs at least one rule", "class", "when")
    for place, rule in enumerate(rules[:-1]):
        if rule.condition is None:
            site.report("a rule without if must be the last: later rules never apply", "class", "when", place)


def _check_readback(one: _Subject) -> None:
    """Guard, verify and probe look at an object: it has to exist, and to have a version if the check compares versions."""
    declared, site, probe = one.declared, one.site, one.declared.probe
    if declared.guard and not one.versioned:
        site.report(
            f"{declared.guard} compares versions, and the action has no object with a version; set object, and version on that object "
            "(if the tool gives none: version: {digest_of: state}, with guard: compare)",
            "guard",
        )
    if declared.guard and not declared.snapshot:
        site.report("compares the version that the snapshot reads, and snapshot: false reads none; remove one of them", "guard")
    if declared.guard not in (None, Guard.COMPARE) and one.kind is not None and one.kind.digest:
        site.report("the tool cannot compare a digest that the gateway makes; set guard: compare", "guard")
    if declared.verify and one.action.object_type is None:
        site.report("needs an object (or creates) to read back", "verify")
    if probe is None:
        return
    if declared.creates and probe.find is None:
        site.report("a create has no object to read; set find, a listing to search", "probe")
    elif not declared.creates and probe.find is not None:
        site.report("only a create is looked for in a listing; remove it", "probe", "find")
    elif not declared.creates and not one.versioned:
        site.report("needs an object with a version; add version to it, such as version: {digest_of: state}, or remove the probe", "probe")
    _check_mark(one)
    find = one.action.probe.find if one.action.probe else None
    if find and (missing := one.lacks(find.template.names)):
        site.report(f"{{{missing[0]}}} is not in this action's path", "probe", "find", "path")


def _check_mark(one: _Subject) -> None:
    """A mark proves that a write was applied: nothing that somebody else may have written as well can be one."""
    probe, site = one.action.probe, one.site.at("probe", "mark")
    if probe is None or probe.mark is None:
        return
    if "object" not in probe.mark.roots:
        site.report("does not look at the object; name where the tool keeps the key that it was sent, such as object.body.idempotency_key")
    elif "request" not in probe.mark.roots:
        if one.declared.idempotency.header is None:
            site.report("is compared with the key that the tool was sent, and it is sent none; set idempotency.header")
    elif not probing.references(probe):
        site.report(
            "compares what an equal write of somebody else has too; compare a reference that only this call has and applied does not look "
            "at, or name where the tool keeps the key that it was sent"
        )


def _check_dry_run(one: _Subject) -> None:
    """What makes a call a dry run has to be what the tool reads: the agent must not make a write look like one by anything else."""
    dry, site = one.action.dry_run, one.site.at("dry_run", "if")
    if dry is None:
        return
    read = dependencies.of(dry.when)
    if read.unnamed or read.headers:
        site.report("must look at a declared query key (request.query.dry_run) or a member of the body (request.body.dry_run) alone")
    elif unknown := sorted(read.query - (one.action.match_query or frozenset())):
        site.report(f"{unknown[0]} is not under match.query: no call with it would match this action")
    elif not read.query and not any(read.body):
        site.report("must look at the call: at request.query.KEY, or at a member of request.body")


def _check_pending(one: _Subject) -> None:
    """It is asked of the job or of the object, and of both by the same look."""
    pending, site = one.action.pending, one.site.at("pending")
    if pending is None:
        return
    for name, expression in (("done", pending.done), ("failed", pending.failed)):
        if expression is not None and len(expression.roots & {"reply", "object"}) != 1:
            site.report("must look at reply (of the job) or at object, and not at both", name)
        elif expression is not None and ("object" in expression.roots) is not pending.on_object:
            site.report("must look at the same as done: at reply (of the job), or at object", name)
    if pending.on_object and one.action.object_type is None:
        site.report("looks at object: the action needs an object (or creates)", "done")
    if pending.on_object and pending.job is not None:
        site.report("is for what the job's reply says; done looks at object, so remove it", "job")


def _check_failed(one: _Subject) -> None:
    failed = one.action.failed
    if failed is not None and "reply" not in failed.roots:
        one.site.report("must look at reply: nothing that the agent sends proves that the tool applied nothing", "failed")


def _check_idempotency(one: _Subject) -> None:
    site, key = one.site.at("idempotency"), one.declared.idempotency
    said = key.honoured or key.quoted or "gateway" in key.model_fields_set
    if key.gateway if key.header is not None else said and not key.gateway:
        site.report("set either header (the tool accepts a key there) or gateway: true (only the gateway stores the key)")
    if key.header is None and (key.honoured or key.quoted):
        site.report("honoured and quoted describe the tool's header; give header")
    if key.header is not None and (not _HEADER.fullmatch(key.header) or key.header.lower() in _KEYLESS):
        site.report(f"{key.header!r} cannot carry a key; name a header such as Idempotency-Key", "header")


def _check_compensation(one: _Subject) -> None:
    declared, undo, site = one.declared, one.declared.compensation, one.site.at("compensation")
    if undo is None:
        return
    if undo.type.by_action and undo.by is None:
        site.report(f"{undo.type} needs by: the action that carries it out")
    if not undo.type.by_action and (undo.by or undo.body or undo.auto):
        site.report(f"{undo.type} is done by a person; remove by, body and auto")
    if undo.type is Remedy.DELETE_CREATED and not declared.creates:
        site.report("needs creates, which names the object to delete", "type")
    if undo.delete_created and not declared.object:
        site.report("is for an upsert; a create needs type: delete_created", "delete_created")
    for key, by in (("by", undo.by), ("delete_created", undo.delete_created)):
        if by is not None:
            _check_by(one, by, site.at(key))
    writes = [other.name for other in one.adapter.actions if other.effect is Effect.WRITE]
    for name in undo.after:
        if name not in writes:
            site.report(f"there is no write {name}" + closest(name, writes), "after")
        elif name == declared.name:
            site.report(f"{name} is this action; its own effects are ordered already", "after")
    _check_instead(one, undo, site.at("instead"))
    _check_snapshot(one, undo, site)


def _check_by(one: _Subject, by: str, site: Site) -> None:
    carrier = one.other(by, site)
    if carrier is None:
        return
    if carrier.effect is Effect.READ:
        site.report(f"{by} is a read; name a write")
    # The target's id can stand for {id} if it is one segment.
    kind = one.tool.objects.get(one.action.object or "")
    own = [name for name in kind.template.names if name != one.tool.tenant_capture] if kind else []
    given = ("id",) if one.action.creates is not None or len(own) == 1 else ()
    if missing := [name for name in one.lacks(carrier.template.names) if name not in given]:
        site.report(f"the path of {by} needs {{{missing[0]}}}, which neither this action's path nor its target's id has")


def _check_instead(one: _Subject, undo: CompensationDocument, site: Site) -> None:
    """The alternative of a compensation offsets the effect in any state of the object: it must overwrite nothing."""
    instead = undo.instead
    if instead is None:
        return
    if undo.type not in _OFFSETS or instead.type not in _OFFSETS:
        site.report("replaces release or offsetting_action, and must be one of them", "type")
    if one.action.object_type is None:
        site.report("needs an object (or creates) to read")
    if instead.by == undo.by:
        site.report(f"is {undo.by}, the same action; name another one, or remove instead", "by")
    _check_by(one, instead.by, site.at("by"))


def _check_snapshot(one: _Subject, undo: CompensationDocument, site: Site) -> None:
    """What a compensation, or its alternative, puts back must have been kept."""
    built = one.action.undo
    by = [undo.by or "", *([undo.instead.by] if undo.instead is not None else [])]
    reads = built is not None and any("snapshot" in built.roots(name) for name in by)
    if undo.type is not Remedy.RESTORE_PREVIOUS_VERSION and not reads:
        return
    kind = one.tool.objects.get(one.action.object or "")
    if one.action.object is None or (kind is not None and kind.state is None):
        site.report("restores a snapshot: the action needs an object, and that object a state to keep")
    elif not one.declared.snapshot:
        site.report("restores a snapshot, but snapshot: false takes none")


_READ_CHECKS = (_check_body, _check_read, _check_fallback)
_WRITE_CHECKS = (
    _check_body,
    _check_write,
    _check_readback,
    _check_dry_run,
    _check_pending,
    _check_failed,
    _check_idempotency,
    _check_compensation,
)
