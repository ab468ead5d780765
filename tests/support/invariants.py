"""The ten invariants of the design, each a function that finds what prevents it in a story so far.

J is the journal as anybody reads it, U each tool's own log of what it applied, k the logical key of a call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import zip_longest

from gateway.core.request import idempotency
from gateway.model.effect import State
from tests.support.invariants_journal import Chronicle, Effect
from tests.support.invariants_story import Story
from tests.support.invariants_world import WRITES
from tests.support.toolmodel import Applied

Against = Iterator[str]


def i1_write_ahead(story: Story) -> Against:
    """A write's intent is on disk (fsync returned) before the first byte of the call leaves."""
    for sent in story.chronicle.sent:
        if sent.request.method != "GET" and sent.effect is None:
            yield f"{sent.request.method} {sent.request.target} left before its intent was durable"


def i2_at_most_once(story: Story) -> Against:
    """No attempt reaches the tool twice, and another one is made only with proof that the one before was not applied, or by a person."""
    for effect in story.chronicle.effects.values():
        if effect.sent > 1 or _applied(story, effect) > 1:
            yield f"{effect.key} was sent {effect.sent} times and applied {_applied(story, effect)} times"
        if effect.before in (State.IN_FLIGHT, State.UNKNOWN):
            yield f"{effect.key} is another attempt at what was {effect.before}"
        if effect.before is State.STANDING and effect.intent["key"]["kind"] != "content":
            yield f"{effect.key} is another attempt at what stands"


def i3_truthful_outcome(story: Story) -> Against:
    """``failed`` => U(k) = 0; ``success`` => U(k) >= 1; else ``found`` or ``unknown``, which prove neither. A later definite failure does
    not clear a possible apply.
    """
    for effect in story.chronicle.effects.values():
        applied = _applied(story, effect)
        if effect.state is State.FAILED and applied:
            yield f"{effect.intent['action']} {effect.key} was applied and counts as failed: {effect.results}"
        if effect.state in (State.STANDING, State.COMPENSATED) and not applied and not effect.found:
            yield f"{effect.intent['action']} {effect.key} was not applied and is {effect.state}: {effect.results}"


def i4_one_history(story: Story) -> Against:
    """Legal transitions only; at most one terminal outcome per attempt; replaying J gives the stored state; epochs never repeat."""
    for effect in story.chronicle.effects.values():
        yield from (one for one in effect.ill if one.startswith("I4"))
        if len([result for _, result in effect.results if result != "unknown"]) > 1:
            yield f"{effect.key} ended more than once: {effect.results}"
    epochs = [order.epoch for versions in story.chronicle.orders.values() for _, order in versions]
    if len(set(epochs)) < len(epochs):
        yield f"an epoch stands for two changes: {sorted(epochs)}"
    yield from story.chronicle.unlike()


def i5_chain(story: Story) -> Against:
    """Seq is contiguous, each hash covers the one before; every exported head is a prefix of every later one."""
    yield from story.chronicle.broken
    for stream, seq, hash_ in story.chronicle.signed():
        if story.chronicle.heads.get((stream, seq)) != hash_:
            yield f"the head signed at {seq} is not the journal's"


def i6_authority(story: Story) -> Against:
    """Every send has an allow that was exactly ``true``, whose method, target, body and tenant are those sent."""
    for sent in story.chronicle.sent:
        request = sent.request
        if request.method == "GET" or sent.effect is None:
            continue
        intent = sent.effect.intent
        digest = f"sha256:{idempotency.body_digest(request.body)}"
        if intent["decision"]["allow"] is not True and intent["decision"].get("waived") is not True:
            yield f"{sent.effect.key} was sent without an allow"
        if (
            intent["sent"] != {"method": request.method, "path": request.target, "body_digest": digest}
            or intent["tenant"] != request.tenant
        ):
            yield f"{sent.effect.key}: {intent['sent']} was allowed, {request.method} {request.target} was sent"
        if sent.by is not None and (intent["run_id"], intent["generation"]) != (sent.by.run_id, sent.by.generation):
            yield f"{sent.effect.key} was sent for another lease than its own"
    for read in story.chronicle.reads:
        if read["decision"]["allow"] is not True:
            yield f"read {read['seq']} was answered without an allow"


def i7_revocation(story: Story) -> Against:
    """After an order is acknowledged no send is checked below it; a revoked lease generation never comes back."""
    for sent in story.chronicle.sent:
        if sent.against is not None:
            yield f"{sent.request.method} {sent.request.target} was sent although {sent.against}"
    for answered in story.answered:
        if answered.dead and answered.reply.status < 400:
            yield f"call {answered.call.number} was answered {answered.reply.status} under a lease that was dead"


def i8_isolation(alone: list[object], among: list[object]) -> Against:
    """Taking tenant B's calls away leaves tenant A's trace unchanged (shared limits aside)."""
    for number, (one, other) in enumerate(zip(alone, among, strict=False)):
        if one != other:
            yield f"{number}: {one} alone, {other} beside others"
    if len(alone) != len(among):
        yield f"{len(alone)} alone, {len(among)} beside others"


def i9_compensation(story: Story) -> Against:
    """Only for applied effects; dependents first; at most one effect each; never over what a person changed."""
    chronicle = story.chronicle
    undone: dict[str, int] = {}
    for effect in chronicle.effects.values():
        yield from (one for one in effect.ill if one.startswith("I9"))
        if effect.rollback is None or not _applied(story, effect):
            continue
        for key in effect.intent["compensates"]:
            undone[key] = undone.get(key, 0) + 1
            if not _applied(story, chronicle.effects[key]) and (effect.rollback, effect.intent["node"]) not in chronicle.asked:
                yield f"{effect.key} compensated {key}, which was not applied, and nobody was asked"
            if undone[key] > 1:
                yield f"{key} was compensated {undone[key]} times"
    for tool in story.tool.tools.values():
        for number, one in enumerate(tool.log):
            by = chronicle.effects.get(one.key or "")
            if by is not None and by.rollback is not None and one.what in ("put", "delete"):
                yield from _over(chronicle, by, one, tool.log[:number])


def i10_recovery(story: Story) -> Against:
    """recover(recover(s)) = recover(s); every open call becomes terminal, unknown or a person's; nothing from before the checkpoint is sent
    again; budget reserved >= calls sent.
    """
    for before, after in story.states:
        yield from (f"recovered once {one}, twice {other}" for one, other in zip_longest(before, after) if one != other)
    if story.unfinished:
        yield f"after a start {story.unfinished} are in flight, and nobody carries them"
    for effect in story.chronicle.effects.values():
        yield from (one for one in effect.ill if one.startswith("I10"))
    for run_id in story.chronicle.runs:
        mine = [one for one in story.chronicle.effects.values() if one.intent["run_id"] == run_id and one.rollback is None]
        reserved, sent = story.chronicle.counted(f"run:{run_id}", "writes"), sum(one.sent for one in mine)
        if not sent <= reserved <= WRITES:
            yield f"{run_id} reserved {reserved} writes of {WRITES} and sent {sent}"


INVARIANTS: dict[str, Callable[[Story], Against]] = {
    "I1": i1_write_ahead,
    "I2": i2_at_most_once,
    "I3": i3_truthful_outcome,
    "I4": i4_one_history,
    "I5": i5_chain,
    "I6": i6_authority,
    "I7": i7_revocation,
    "I9": i9_compensation,
    "I10": i10_recovery,
}
"""Those that one story shows. I8 takes two."""


def hold(story: Story) -> None:
    """Raise where one of them does not."""
    for name, invariant in INVARIANTS.items():
        found = list(invariant(story))
        assert not found, f"{name} {invariant.__doc__}\n" + "\n".join(found)
    # A story may set the clock back, which a start tells.
    faults = [line for line in story.world.logged if not line.startswith("clock-")]
    assert not faults, faults
    assert not [one for tool in story.tool.tools.values() for one in tool.strange], "a call went where there is nothing"


def _applied(story: Story, effect: Effect) -> int:
    return story.tool.tools[effect.intent["tenant"]].applied[effect.key]


def _over(chronicle: Chronicle, effect: Effect, one: Applied, earlier: list[Applied]) -> Against:
    """What a compensation that puts back or removes overwrites has to be what the rollback's own run left."""
    of_it = [before for before in earlier if before.name == one.name]
    mine = [
        before for before in of_it if (by := chronicle.effects.get(before.key or "")) and by.intent["run_id"] == effect.intent["run_id"]
    ]
    if not mine:
        yield f"{effect.key} changed {one.name}, which its run had not"
    elif mine[-1].after != of_it[-1].after:  # alike: nobody can tell, and nothing is lost
        yield f"{effect.key} overwrote what somebody else had made of {one.name}"
