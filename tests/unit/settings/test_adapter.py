"""adapter.yaml: what an adapter must not promise, each told at its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.core.adapter import catalog
from gateway.core.adapter.catalog import Tool
from gateway.core.adapter.versions import Guard
from gateway.model.call import Effect, Remedy, Reversibility
from gateway.settings import compilation

ADAPTER = """\
system: erp
tenant: request.path.tenant
objects:
  invoice: {path: "/{tenant}/invoices/{id}", version: reply.headers.etag, state: reply.body}
  note: {path: "/{tenant}/notes/{id}"}
actions:
  - name: invoice.read
    match: {method: GET, path: "/{tenant}/invoices/{id}"}
    object: invoice
    effect: read
  - name: invoice.update
    match: {method: PATCH, path: "/{tenant}/invoices/{id}"}
    object: invoice
    effect: write
    class: reversible
    guard: if_match
    verify: {expect: object.body.status == request.body.status}
    probe: {applied: object.body.status == request.body.status}
    cost: {records: "`1`", amount: {refund: request.body.amount}}
    idempotency: {header: Idempotency-Key, honoured: true}
    compensation: {type: restore_previous_version, by: invoice.replace, auto: true}
  - name: invoice.replace
    match: {method: PUT, path: "/{tenant}/invoices/{id}"}
    object: invoice
    effect: write
    class: {when: [{if: request.body.paid == `true`, then: irreversible}, {then: reversible}]}
    compensation: {type: restore_previous_version, by: invoice.replace, delete_created: invoice.delete}
  - name: invoice.delete
    match: {method: DELETE, path: "/{tenant}/invoices/{id}"}
    object: invoice
    effect: write
    class: irreversible
    compensation: {type: manual_review}
  - name: note.create
    match: {method: POST, path: "/{tenant}/notes"}
    creates: {object: note, id: reply.body.id}
    effect: write
    class: compensatable
    compensation: {type: delete_created, by: note.delete}
  - name: note.delete
    match: {method: DELETE, path: "/{tenant}/notes/{id}"}
    object: note
    effect: write
    class: irreversible
    snapshot: false
    compensation: {type: correction_task}
"""


def load(folder: Path, text: str) -> tuple[Tool | None, list[str]]:
    (folder / "adapter.yaml").write_text(text)
    return compilation.load(folder, "erp", {}, shown="adapter.yaml")


def test_a_sound_adapter_compiles(tmp_path: Path) -> None:
    tool, problems = load(tmp_path, ADAPTER)
    assert problems == []
    assert tool is not None
    update, replace = tool.actions["invoice.update"], tool.actions["invoice.replace"]
    assert (update.effect, update.guard, update.match_query, update.snapshot) == (Effect.WRITE, Guard.IF_MATCH, frozenset(), True)
    assert (update.idempotency.header, update.idempotency.honoured, update.idempotency.window) == (b"Idempotency-Key", True, 900.0)
    assert [rule.then for rule in replace.classes] == [Reversibility.IRREVERSIBLE, Reversibility.REVERSIBLE]
    assert replace.undo is not None
    assert (replace.undo.remedy, replace.undo.delete_created) == (Remedy.RESTORE_PREVIOUS_VERSION, "invoice.delete")
    assert tool.tenant_capture == "tenant"


def test_a_compensation_may_run_after_others(tmp_path: Path) -> None:
    tool, problems = load(tmp_path, ADAPTER.replace("by: note.delete}", "by: note.delete, after: [invoice.update, invoice.replace]}"))
    assert tool is not None, problems
    assert catalog.undos([tool])["erp", "note.create"].after == ("invoice.update", "invoice.replace")


INSTEAD = "{type: release, by: note.delete, instead: {if: object.body.shipped, type: offsetting_action, by: note.create}}"


def test_a_release_may_say_what_is_done_where_it_is_too_late(tmp_path: Path) -> None:
    tool, problems = load(tmp_path, ADAPTER.replace("{type: delete_created, by: note.delete}", INSTEAD))
    assert tool is not None, problems
    undo = catalog.undos([tool])["erp", "note.create"]
    assert undo.instead is not None
    assert (undo.instead.remedy, undo.instead.by) == (Remedy.OFFSETTING_ACTION, "note.create")
    assert undo.instead.when.holds({"object": {"body": {"shipped": True}}})


@pytest.mark.parametrize(
    ("found", "put", "problem"),
    [
        ("type: release", "type: delete_created", "instead.type: replaces release or offsetting_action, and must be one of them"),
        ("type: offsetting_action", "type: revert_status", "instead.type: replaces release or offsetting_action"),
        ("by: note.create", "by: note.delete", "instead.by: is note.delete, the same action; name another one"),
        ("by: note.create", "by: note.crate", "instead.by: there is no action note.crate; did you mean note.create?"),
        ("object.body.shipped", "reply.body.shipped", "instead.if: reply is unknown here"),
    ],
)
def test_what_cannot_stand_in_for_a_release_is_reported(tmp_path: Path, found: str, put: str, problem: str) -> None:
    _, problems = load(tmp_path, ADAPTER.replace("{type: delete_created, by: note.delete}", INSTEAD.replace(found, put)))
    assert any(problem in line for line in problems), problems


def test_what_is_left_out_is_filled_with_the_careful_choice(tmp_path: Path) -> None:
    tool, _ = load(tmp_path, ADAPTER)
    assert tool is not None
    assert (tool.unlisted_read, tool.unlisted_write) == (False, False)
    update, create = tool.actions["invoice.update"], tool.actions["note.create"]
    assert create.idempotency.header is None
    assert create.undo is not None
    assert create.undo.automatic is False
    assert create.undo.body is None
    assert update.undo is not None
    assert update.undo.body is not None
    assert update.undo.body.text == "snapshot"
    assert tool.actions["invoice.read"].match_query is None


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("    class: reversible\n", "", ":11: actions[1].class: a write needs a class: reversible, compensatable or irreversible"),
        ("    compensation: {type: manual_review}\n", "", ":28: actions[3].compensation: is missing; a write needs one"),
        (
            "class: compensatable",
            "class: compensatble",
            ":38: actions[4].class: 'compensatble' is not one of reversible, compensatable, irreversible",
        ),
        (
            "then: reversible}]",
            "then: reversable}]",
            ":26: actions[2].class.when[1].then: 'reversable' is not one of reversible, compensatable or",
        ),
        (
            "by: note.delete",
            "by: note.delte",
            ":39: actions[4].compensation.by: there is no action note.delte; did you mean note.delete?",
        ),
        ("by: note.delete", "by: invoice.read", ":39: actions[4].compensation.by: invoice.read is a read; name a write"),
        (", by: note.delete", "", ":39: actions[4].compensation: delete_created needs by: the action that carries it out"),
        ("manual_review", "manual_review, auto: true", ":33: actions[3].compensation: manual_review is done by a person"),
        (
            "    object: invoice\n    effect: write\n    class: reversible",
            "    effect: write\n    class: reversible",
            "restores a snapshot: the action needs an object",
        ),
        (
            ", state: reply.body}",
            "}",
            ":21: actions[1].compensation: restores a snapshot: the action needs an object, and that object a state",
        ),
        ("    guard: if_match\n", "    guard: if_match\n    snapshot: false\n", "restores a snapshot, but snapshot: false takes none"),
        (
            "    guard: if_match\n",
            "    guard: if_match\n    snapshot: false\n",
            ":16: actions[1].guard: compares the version that the snapshot reads, and snapshot: false reads none",
        ),
        (
            ", version: reply.headers.etag",
            "",
            ":16: actions[1].guard: if_match compares versions, and the action has no object with a version; set object, and version ",
        ),
        (
            ", version: reply.headers.etag",
            "",
            ":18: actions[1].probe: needs an object with a version; add version to it, such as version: {digest_of: state}, or remove",
        ),
        (
            "version: reply.headers.etag",
            "version: {digest_of: state}",
            ":16: actions[1].guard: the tool cannot compare a digest that the gateway makes; set guard: compare",
        ),
        (
            "version: reply.headers.etag, state: reply.body",
            "version: {digest_of: state}",
            "is a digest of the state, but the object has none",
        ),
        ("version: reply.headers.etag", "version: {digest: state}", "objects.invoice.version.digest: unknown key; did you mean digest_of?"),
        ("version: reply.headers.etag", "version: {digest_of: request.body}", "request is unknown here"),
        (
            "version: reply.headers.etag",
            "version: {digest_of: state, value: reply.body}",
            "has both value and digest_of; keep one of them",
        ),
        (
            "guard: if_match",
            "guard: if-match",
            ":16: actions[1].guard: 'if-match' is not one of if_match, if_match_verbatim or compare; did you mean if_match?",
        ),
        ("    object: note\n", "    object: nte\n", ":42: actions[5].object: there is no nte under objects; did you mean note?"),
        ("id: reply.body.id}", "id: reply.headers.location}", ":36: actions[4].creates.id: is a URL; take the id out of it"),
        (", id: reply.body.id}", "}", ":36: actions[4].creates.id: is missing: an expression over the reply, such as reply.body.id"),
        ("type: delete_created, by: note", "type: release, by: nte", "there is no action nte"),
        (
            "    creates: {object: note, id: reply.body.id}\n",
            "",
            ":38: actions[4].compensation.type: needs creates, which names the object to delete",
        ),
        (
            "    creates: {object: note",
            "    object: note\n    creates: {object: note",
            ":36: actions[4].object: set object (its target) or creates",
        ),
        (
            "name: invoice.delete",
            "name: invoice.update",
            ":28: actions[3].name: there is another action invoice.update; names must be unique",
        ),
        ("name: note.create", "name: unlisted.write", ":34: actions[4].name: unlisted.write is reserved for unlisted calls"),
        ("name: note.create", "name: 'note create'", ":34: actions[4].name: 'note create' is not a name; use letters, digits, _ and -"),
        ("method: PUT", "method: PATCH", ":23: actions[2].match: never reached: invoice.update, above it, matches all its calls"),
        (
            'path: "/{tenant}/notes"',
            'path: "/notes"',
            ":35: actions[4].match.path: tenant is request.path.tenant, but this path has no {tenant}",
        ),
        (
            'path: "/{tenant}/notes/{id}"}\nact',
            'path: "/{tenant}/books/{book}/notes/{id}"}\nact',
            "the path of note needs {book}, which this action's path does not capture",
        ),
        (
            'DELETE, path: "/{tenant}/notes/{id}"',
            'DELETE, path: "/{tenant}/b/{book}/{id}"',
            "the path of note.delete needs {book}, which neither this action's",
        ),
        (
            'PATCH, path: "/{tenant}/invoices/{id}"',
            'PATCH, path: "/{tenant}/{tenant}/{id}"',
            ":12: actions[1].match.path: the path '/{tenant}/{tenant}/{id}' captures {tenant}",
        ),
        ("    effect: read\n", "    effect: read\n    class: reversible\n", ":11: actions[0].class: only a write may have this"),
        (
            "    effect: read\n",
            "    effect: read\n    compensation: {type: manual_review}\n",
            ":11: actions[0].compensation: only a write may have this",
        ),
        ("amount: {refund:", "amounts: {refund:", ":19: actions[1].cost.amounts: unknown key; did you mean amount?"),
        ("amount: {refund:", 'amount: {"re fund":', ":19: actions[1].cost.amount.re fund: 're fund' is not a name"),
        ("{header: Idempotency-Key, honoured: true}", "{honoured: true}", ":20: actions[1].idempotency: set either header"),
        ("{header: Idempotency-Key, honoured: true}", "{gateway: false}", ":20: actions[1].idempotency: set either header"),
        ("{header: Idempotency-Key, honoured: true}", "{header: X-Key, gateway: true}", ":20: actions[1].idempotency: set either header"),
        (
            "{header: Idempotency-Key, honoured: true}",
            "{own: together}\n    failed: request.body.refused",
            ":21: actions[1].failed: must look at reply",
        ),
        (
            "{header: Idempotency-Key, honoured: true}",
            "{gateway: true, honoured: true}",
            ":20: actions[1].idempotency: honoured and quoted describe the tool's header",
        ),
        ("header: Idempotency-Key", "header: Authorization", ":20: actions[1].idempotency.header: 'Authorization' cannot carry a key"),
        ("[{if: request", "[{then: reversible}, {if: request", ":26: actions[2].class.when[0]: a rule without if must be the last"),
        (
            "class: {when: [{if: request.body.paid == `true`, then: irreversible}, {then: reversible}]}",
            "class: {when: []}",
            "needs at least one rule",
        ),
        ("delete_created: invoice.delete", "delete_created: invoice.remove", "there is no action invoice.remove"),
        ("by: note.delete}", "by: note.delete, after: [note.creat]}", "there is no write note.creat; did you mean note.create?"),
        ("by: note.delete}", "by: note.delete, after: [invoice.read]}", "there is no write invoice.read"),
        ("by: note.delete}", "by: note.delete, after: [note.create]}", "its own effects are ordered already"),
        (
            "by: note.delete}",
            "by: note.delete, delete_created: note.delete}",
            "is for an upsert; a create needs type: delete_created",
        ),
        (
            "expect: object.body.status",
            "expect: objet.body.status",
            ":17: actions[1].verify.expect: objet is unknown here; an expression here begins with object, reply",
        ),
        (
            "refund: request.body.amount",
            "refund: reply.body.amount",
            ":19: actions[1].cost.amount.refund: reply is unknown here; an expression here begins with request",
        ),
        ("tenant: request.path.tenant", "tenant: request.path.[", ":2: tenant: 'request.path.[' is not complete"),
        ("    snapshot: false\n", "    reply_schema: none.json\n", "none.json cannot be read: No such file or directory"),
        ("effect: read", "effect: reed", ":10: actions[0].effect: 'reed' is not one of read or write; did you mean read?"),
        ("state: reply.body}", "state: reply.body, id: request.path.id}", ":4: objects.invoice.id: request is unknown here"),
        (
            "effect: read",
            "effect: read\n    fallback: invoice.red",
            ":11: actions[0].fallback: there is no action invoice.red; did you mean",
        ),
        (
            "effect: read",
            "effect: read\n    fallback: invoice.read",
            ":11: actions[0].fallback: is this action itself; name another read",
        ),
        ("effect: read", "effect: read\n    fallback: invoice.delete", ":11: actions[0].fallback: invoice.delete is not a read by GET"),
        (
            "    guard: if_match\n",
            "    fallback: invoice.read\n",
            ":16: actions[1].fallback: only a read may have this: a write could run twice",
        ),
        ("system: erp\n", "", ":1: system: is missing: a short name of the system, such as erp"),
        ('`1`"', '1"', ":19: actions[1].cost.records: syntax error at column 1 of '1', at 1; write a literal between backticks"),
    ],
)
def test_a_promise_that_cannot_be_kept_does_not_load(tmp_path: Path, old: str, new: str, problem: str) -> None:
    assert old in ADAPTER
    tool, problems = load(tmp_path, ADAPTER.replace(old, new, 1))
    assert tool is None
    assert any(problem in line for line in problems), problems


REPLICA = """\
  - name: invoice.read.replica
    match: {method: GET, path: "/{tenant}/replica/{id}"}
    effect: read
"""


def test_a_read_may_have_a_fallback_that_its_own_captures_fill(tmp_path: Path) -> None:
    text = ADAPTER.replace("effect: read", "effect: read\n    fallback: invoice.read.replica", 1) + REPLICA
    tool, problems = load(tmp_path, text)
    assert problems == []
    assert tool is not None
    assert tool.actions["invoice.read"].fallback == "invoice.read.replica"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("replica/{id}", "replica/{shard}", "the path of invoice.read.replica needs {shard}, which this action's path does not capture"),
        ("GET, path", "GET, body: request.body.x, path", "invoice.read.replica must match by path, not by header or body"),
        ("GET, path", "POST, path", "invoice.read.replica is not a read by GET"),
    ],
)
def test_a_fallback_that_could_not_be_asked_does_not_load(tmp_path: Path, old: str, new: str, problem: str) -> None:
    text = ADAPTER.replace("effect: read", "effect: read\n    fallback: invoice.read.replica", 1) + REPLICA.replace(old, new)
    tool, problems = load(tmp_path, text)
    assert tool is None
    assert [line for line in problems if problem in line] == problems


def test_an_adapter_without_actions_does_not_load(tmp_path: Path) -> None:
    _, problems = load(tmp_path, "system: erp\ntenant: run.tenant\nactions: []\n")
    assert problems == ["adapter.yaml:3: actions: is empty; list the calls that agents may make"]


def test_a_create_can_only_be_probed_in_a_listing(tmp_path: Path) -> None:
    probe = "    class: compensatable\n    probe: {applied: object.body.ref == request.body.ref}\n"
    _, problems = load(tmp_path, ADAPTER.replace("    class: compensatable\n", probe))
    assert problems == ["adapter.yaml:39: actions[4].probe: a create has no object to read; set find, a listing to search"]


@pytest.mark.parametrize(
    ("mark", "key", "problem"),
    [
        ("object.body.key", "header: Idempotency-Key", None),
        ("object.body.log[].key", "header: Idempotency-Key", None),
        ("object.body.note == request.body.note", "gateway: true", None),
        ("object.body.note == join('/', [run.run_id, request.body.note])", "gateway: true", None),
        ("object.body.call == request.headers.x-call", "gateway: true", "x-call"),
        ('object.body.call == request.headers.\\"x-call\\"', "gateway: true", None),
        ("object.body.key", "gateway: true", "it is sent none; set idempotency.header"),
        ("vars.key", "header: Idempotency-Key", "does not look at the object"),
        ("`true`", "header: Idempotency-Key", "does not look at the object"),
        ("object.body.status == request.body.status", "header: Idempotency-Key", "what an equal write of somebody else has too"),
        ("object.body.id == request.path.id", "header: Idempotency-Key", "what an equal write of somebody else has too"),
        ("object.body.status && request.body.status", "header: Idempotency-Key", "what an equal write of somebody else has too"),
        ("object.body.run == run.run_id && request.method == 'PATCH'", "header: K", "what an equal write of somebody else has too"),
    ],
)
def test_a_mark_is_the_writes_own(tmp_path: Path, mark: str, key: str, problem: str | None) -> None:
    probe = "probe: {applied: object.body.status == request.body.status"
    text = ADAPTER.replace(probe, f'{probe}, mark: "{mark}"', 1).replace("{header: Idempotency-Key, honoured: true}", f"{{{key}}}", 1)
    tool, problems = load(tmp_path, text)
    assert (tool is not None) is (problem is None), problems
    assert all("probe.mark" in line and str(problem) in line for line in problems)


def test_own_keys_are_looked_up_alone_or_together_with_the_content(tmp_path: Path) -> None:
    text = ADAPTER.replace("honoured: true}", "honoured: true, own: together}", 1)
    tool, problems = load(tmp_path, text)
    assert tool is not None, problems
    assert (tool.actions["invoice.update"].idempotency.together, tool.actions["invoice.replace"].idempotency.together) == (True, False)
    _, problems = load(tmp_path, ADAPTER.replace("honoured: true}", "honoured: true, own: both}", 1))
    assert len(problems) == 1
    assert "alone" in problems[0]


def test_of_two_actions_the_narrower_may_stand_first(tmp_path: Path) -> None:
    narrow = '  - name: invoice.latest\n    match: {method: GET, path: "/{tenant}/invoices/latest"}\n    effect: read\n'
    tool, problems = load(tmp_path, ADAPTER.replace("actions:\n", "actions:\n" + narrow))
    assert problems == []
    assert tool is not None
    _, problems = load(tmp_path, ADAPTER + narrow)
    assert problems == [
        "adapter.yaml:48: actions[6].match: never reached: invoice.read, above it, matches all its calls; put this one first"
    ]


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ("{", "is not JSON"),
        ('{"type": "objct"}', "is not a usable JSON Schema"),
        ('{"$ref": "https://example.com/other.json"}', "is not fetched"),
    ],
)
def test_a_reply_schema_that_cannot_be_used_does_not_load(tmp_path: Path, schema: str, problem: str) -> None:
    (tmp_path / "reply.json").write_text(schema)
    _, problems = load(tmp_path, ADAPTER.replace("    snapshot: false\n", "    reply_schema: reply.json\n"))
    assert len(problems) == 1
    assert problem in problems[0]


def test_every_problem_of_an_adapter_is_reported_at_once(tmp_path: Path) -> None:
    text = (
        ADAPTER.replace("by: note.delete", "by: note.remove")
        .replace("    object: note\n", "    object: nte\n")
        .replace("header: Idem", "header: Host#")
    )
    _, problems = load(tmp_path, text)
    assert len(problems) == 3


def test_the_gateway_stores_the_key_unless_the_tool_takes_one(tmp_path: Path) -> None:
    tool, problems = load(tmp_path, ADAPTER.replace("{header: Idempotency-Key, honoured: true}", "{own: together, window: 5m}", 1))
    assert tool is not None, problems
    keys = [action.idempotency for action in tool.actions.values() if action.idempotency.together]
    assert [(key.header, key.window) for key in keys] == [(None, 300.0)]


@pytest.mark.parametrize(
    "reads",
    [
        'body: "{amount: request.body.amount}"',
        "headers: {X-Amount: request.body.amount}",
        "query: {amount: request.body.amount}",
        "content_type: request.body.amount",
    ],
)
@pytest.mark.parametrize("alternative", [True, False])
def test_no_part_of_a_compensation_reads_a_body_that_nobody_read(tmp_path: Path, reads: str, alternative: bool) -> None:
    declared = INSTEAD[:-2] + f", {reads}}}}}" if alternative else INSTEAD.replace("instead:", f"{reads}, instead:")
    declared = declared.replace("by: note.delete", "by: note.free").replace("by: note.create", "by: note.book")
    text = ADAPTER.replace("{type: delete_created, by: note.delete}", declared) + BOOK
    tool, problems = load(tmp_path, text)
    assert tool is not None, problems
    assert "amount" in tool.members["note.create"].body.members
    create = "    creates: {object: note, id: reply.body.id}\n"
    _, problems = load(tmp_path, text.replace(create, f"{create}    body: opaque\n"))
    assert any("opaque bodies are not read, and" in line for line in problems), problems


@pytest.mark.parametrize("reads", ["body: snapshot", "headers: {X-Was: snapshot.name}", "query: {was: snapshot.name}"])
@pytest.mark.parametrize("alternative", [True, False])
def test_no_part_of_a_compensation_reads_a_state_that_is_not_kept(tmp_path: Path, reads: str, alternative: bool) -> None:
    declared = "{type: release, by: note.free, instead: {if: object.body.shipped, type: offsetting_action, by: note.book}}"
    declared = declared[:-2] + f", {reads}}}}}" if alternative else declared.replace("instead:", f"{reads}, instead:")
    text = ADAPTER + BOOK + FREE.replace("DECLARED", declared)
    _, problems = load(tmp_path, text)
    assert any("restores a snapshot: the action needs an object, and that object a state to keep" in line for line in problems), problems
    kept = text.replace('note: {path: "/{tenant}/notes/{id}"}', 'note: {path: "/{tenant}/notes/{id}", state: reply.body}')
    assert load(tmp_path, kept)[1] == []
    _, problems = load(tmp_path, kept + "    snapshot: false\n")
    assert any("restores a snapshot, but snapshot: false takes none" in line for line in problems), problems


BOOK = """\
  - name: note.book
    match: {method: POST, path: "/{tenant}/bookings", query: [amount, was]}
    effect: write
    class: irreversible
    compensation: {type: manual_review}
  - name: note.free
    match: {method: POST, path: "/{tenant}/notes/{id}/free", query: [amount, was]}
    effect: write
    class: irreversible
    compensation: {type: manual_review}
"""
FREE = """\
  - name: note.reserve
    match: {method: POST, path: "/{tenant}/notes/{id}/reserve"}
    object: note
    effect: write
    class: compensatable
    compensation: DECLARED
"""
