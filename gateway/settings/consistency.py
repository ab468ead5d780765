"""What an adapter's parts must be to each other, so that a declared compensation, verify or probe can really be carried out."""

from __future__ import annotations

import re
from collections.abc import Mapping

from gateway.core.adapter.catalog import ActionType, ObjectType, Tool
from gateway.core.adapter.template import Template
from gateway.model.action import Effect, Remedy
from gateway.settings.adapter import ActionDocument, AdapterDocument
from gateway.settings.document import closest
from gateway.settings.located import Where
from gateway.settings.site import Site

_HEADER = re.compile(r"[A-Za-z0-9-]+", re.ASCII)
_KEYLESS = frozenset({"authorization", "host", "connection", "content-length", "content-type", "transfer-encoding", "if-match", "cookie"})
_WRITES_ONLY = ("classes", "compensation", "guard", "verify", "probe", "creates")


def check(site: Site, adapter: AdapterDocument, tool: Tool, actions: Mapping[int, ActionType]) -> None:
    """Tell the site of every contradiction. ``actions`` are those that compiled, by their place in the document."""
    if not adapter.actions:
        site.tell(("actions",), "declares nothing; list the calls that agents may make")
    _check_names(site, adapter)
    _check_order(site, actions)
    for place, action in actions.items():
        where: Where = ("actions", place)
        declared = adapter.actions[place]
        _check_tenant(site, tool, action, where)
        _check_object(site, adapter, tool, action, where)
        if action.effect is Effect.READ:
            _check_read(site, declared, where)
            _check_fallback(site, adapter, tool, action, where)
        else:
            _check_write(site, declared, where)
            _check_readback(site, declared, tool, action, where)
            _check_idempotency(site, declared, where)
            _check_compensation(site, adapter, tool, declared, action, where)


def _check_names(site: Site, adapter: AdapterDocument) -> None:
    seen: set[str] = set()
    for place, one in enumerate(adapter.actions):
        if one.name in seen:
            site.tell(("actions", place, "name"), f"there is another action {one.name}; a name stands for one action")
        if one.name in ("unlisted.read", "unlisted.write"):
            site.tell(("actions", place, "name"), f"{one.name} means calls that no action matches; choose another name")
        seen.add(one.name)


def _check_order(site: Site, actions: Mapping[int, ActionType]) -> None:
    """Of two actions that fit a call the first in the file is taken: one that never is would be a promise not kept."""
    earlier: list[ActionType] = []
    for place, action in actions.items():
        if hides := next((one for one in earlier if _hides(one, action)), None):
            site.tell(
                ("actions", place, "match"), f"never reached: {hides.name}, above it, takes all its calls; put the narrower one first"
            )
        earlier.append(action)


def _hides(first: ActionType, second: ActionType) -> bool:
    if first.method != second.method or not first.template.covers(second.template):
        return False
    if first.query is not None and (second.query is None or not second.query <= first.query):
        return False
    return all(mine is None or mine == other for mine, other in ((first.headers, second.headers), (first.body, second.body)))


def _check_tenant(site: Site, tool: Tool, action: ActionType, where: Where) -> None:
    capture = tool.tenant_capture
    if capture is not None and capture not in action.template.names:
        message = f"tenant is request.path.{capture}, but this path has no {{{capture}}}: the call would always be refused"
        site.tell((*where, "match", "path"), message)


def _check_object(site: Site, adapter: AdapterDocument, tool: Tool, action: ActionType, where: Where) -> None:
    if action.object and action.creates:
        site.tell((*where, "object"), "give object (what it is aimed at) or creates (what it makes), not both")
    kind, place = action.object_type, (*where, "creates", "object") if action.creates else (*where, "object")
    if kind is None:
        return
    if kind not in adapter.objects:
        site.tell(place, f"there is no {kind} under objects" + closest(kind, adapter.objects))
    elif kind in tool.objects and (missing := _missing(tool.objects[kind], action)):
        site.tell(place, f"the path of {kind} needs {missing}, which this action's path does not give")


def _missing(kind: ObjectType, action: ActionType) -> str:
    given = {*action.template.names, "id"} if action.creates else set(action.template.names)
    # A list is of a type without being of one object.
    return "" if action.effect is Effect.READ else ", ".join(f"{{{name}}}" for name in kind.template.names if name not in given)


def _check_read(site: Site, declared: ActionDocument, where: Where) -> None:
    for name in _WRITES_ONLY:
        if getattr(declared, name) is not None:
            key = "class" if name == "classes" else name
            site.tell((*where, key), "only a write has this; drop it, or say effect: write")


def _check_fallback(site: Site, adapter: AdapterDocument, tool: Tool, action: ActionType, where: Where) -> None:
    """What is asked in a read's place is asked without a person: it has to be a plain read that this one says all of."""
    if action.fallback is None:
        return
    place, names = (*where, "fallback"), [one.name for one in adapter.actions]
    if action.fallback not in names:
        site.tell(place, f"there is no action {action.fallback}" + closest(action.fallback, names))
        return
    other = tool.actions.get(action.fallback)
    if other is None:  # it has a problem of its own
        return
    if other is action:
        site.tell(place, "is this action itself, which has just failed; name another read, or drop it")
    elif other.effect is not Effect.READ or other.method != "GET":
        site.tell(place, f"{other.name} is no read by GET; only one that changes nothing and needs no body can stand in")
    elif other.headers or other.body:
        site.tell(place, f"{other.name} is told by its headers or body, which nobody fills in; name a read that its path tells")
    elif missing := [name for name in other.template.names if name not in action.template.names]:
        site.tell(place, f"the path of {other.name} needs {{{missing[0]}}}, which this action's path does not give")


def _check_write(site: Site, declared: ActionDocument, where: Where) -> None:
    if declared.classes is None:
        site.tell((*where, "class"), "a write needs its class: reversible, compensatable or irreversible")
    if declared.fallback is not None:
        site.tell((*where, "fallback"), "only a read has this: another write in its place could be done twice; drop it")
    if declared.compensation is None:
        site.tell((*where, "compensation"), "a write needs one; where nothing can be called, {type: manual_review}")
    rules = declared.classes.when if declared.classes else []
    if declared.classes and not rules:
        site.tell((*where, "class", "when"), "needs at least one rule")
    for place, rule in enumerate(rules[:-1]):
        if rule.condition is None:
            site.tell((*where, "class", "when", place), "a rule without if must be the last: those after it never apply")


def _check_readback(site: Site, declared: ActionDocument, tool: Tool, action: ActionType, where: Where) -> None:
    """Guard, verify and probe look at an object: there has to be one, and a version where the version is the point."""
    kind = tool.objects.get(action.object_type or "")
    version = kind is not None and kind.version is not None
    if declared.guard and not (action.object and version):
        site.tell((*where, "guard"), "if_match needs an object that has a version")
    if declared.verify and action.object_type is None:
        site.tell((*where, "verify"), "needs an object (or creates) to read back")
    if declared.probe is None:
        return
    if declared.creates and declared.probe.find is None:
        site.tell((*where, "probe"), "a create has no object to look at; give find, a listing to look in")
    elif not declared.creates and declared.probe.find is not None:
        site.tell((*where, "probe", "find"), "only a create is looked for in a listing; drop it")
    elif not declared.creates and not (action.object and version):
        site.tell((*where, "probe"), "needs an object that has a version: its state alone proves nothing")
    find = action.probe.find if action.probe else None
    if find and (missing := [name for name in find.template.names if name not in action.template.names]):
        site.tell((*where, "probe", "find", "path"), f"{{{missing[0]}}} is not in this action's path")


def _check_idempotency(site: Site, declared: ActionDocument, where: Where) -> None:
    one, place = declared.idempotency, (*where, "idempotency")
    if (one.header is None) != one.gateway:
        site.tell(place, "give either header (the tool takes a key there) or gateway: true (the gateway alone keeps it)")
    if one.header is None and (one.honoured or one.quoted):
        site.tell(place, "honoured and quoted speak of the tool's header; give header")
    if one.header is not None and (not _HEADER.fullmatch(one.header) or one.header.lower() in _KEYLESS):
        site.tell((*place, "header"), f"{one.header!r} cannot carry a key; name a header such as Idempotency-Key")


def _check_compensation(
    site: Site, adapter: AdapterDocument, tool: Tool, declared: ActionDocument, action: ActionType, where: Where
) -> None:
    one, place = declared.compensation, (*where, "compensation")
    if one is None:
        return
    if one.type.by_action and one.by is None:
        site.tell(place, f"{one.type} needs by: the action that carries it out")
    if not one.type.by_action and (one.by or one.body or one.auto):
        site.tell(place, f"{one.type} is done by a person: by, body and auto have no meaning there")
    if one.type is Remedy.DELETE_CREATED and not declared.creates:
        site.tell((*place, "type"), "needs creates, which names what is to be deleted")
    if one.delete_created and not declared.object:
        site.tell((*place, "delete_created"), "is for an upsert of an object; a create has type: delete_created")
    for key, by in (("by", one.by), ("delete_created", one.delete_created)):
        if by is not None:
            _check_by(site, adapter, tool, action, by, (*place, key))
    _check_after(site, adapter, declared, (*place, "after"))
    _check_instead(site, adapter, tool, declared, action, (*place, "instead"))
    _check_snapshot(site, tool, declared, action, place)


def _check_by(site: Site, adapter: AdapterDocument, tool: Tool, action: ActionType, by: str, where: Where) -> None:
    names = [one.name for one in adapter.actions]
    if by not in names:
        site.tell(where, f"there is no action {by}" + closest(by, names))
        return
    carrier = tool.actions.get(by)
    if carrier is None:  # it has a problem of its own
        return
    if carrier.effect is Effect.READ:
        site.tell(where, f"{by} is a read; it undoes nothing")
    given = {*action.template.names, *(("id",) if _has_id(tool, action) else ())}
    if missing := [name for name in carrier.template.names if name not in given]:
        site.tell(where, f"the path of {by} needs {{{missing[0]}}}, which neither this action's path nor its target's id gives")


def _check_after(site: Site, adapter: AdapterDocument, declared: ActionDocument, where: Where) -> None:
    writes = [one.name for one in adapter.actions if one.effect is Effect.WRITE]
    for name in declared.compensation.after if declared.compensation else ():
        if name not in writes:
            site.tell(where, f"there is no write {name}" + closest(name, writes))
        elif name == declared.name:
            site.tell(where, f"{name} is this action; its own effects have an order among them")


def _check_instead(site: Site, adapter: AdapterDocument, tool: Tool, declared: ActionDocument, action: ActionType, where: Where) -> None:
    """What is done in a compensation's place makes up for the effect, whatever the object is like: it must overwrite nothing."""
    one = declared.compensation
    if one is None or one.instead is None:
        return
    offsets = (Remedy.OFFSETTING_ACTION, Remedy.RELEASE)
    if one.type not in offsets or one.instead.type not in offsets:
        site.tell((*where, "type"), "stands in for release or offsetting_action, and is one of them")
    if action.object_type is None:
        site.tell(where, "needs an object (or creates) to look at")
    if one.instead.by == one.by:
        site.tell((*where, "by"), f"is {one.by}, as without it; name another action, or drop instead")
    _check_by(site, adapter, tool, action, one.instead.by, (*where, "by"))


def _has_id(tool: Tool, action: ActionType) -> bool:
    """Whether the target's id is one segment that can stand for ``{id}``."""
    kind = tool.objects.get(action.object or "")
    return action.creates is not None or (kind is not None and _own_captures(kind.template, tool) == 1)


def _own_captures(template: Template, tool: Tool) -> int:
    return sum(name != tool.tenant_capture for name in template.names)


def _check_snapshot(site: Site, tool: Tool, declared: ActionDocument, action: ActionType, where: Where) -> None:
    body = action.undo.body if action.undo else None
    restores = declared.compensation is not None and declared.compensation.type is Remedy.RESTORE_PREVIOUS_VERSION
    if not restores and (body is None or "snapshot" not in body.roots):
        return
    kind = tool.objects.get(action.object or "")
    if action.object is None or (kind is not None and kind.state is None):
        site.tell(where, "puts back a snapshot: the action needs an object, and that object a state to keep")
    elif not declared.snapshot:
        site.tell(where, "puts back a snapshot, but snapshot: false takes none")
