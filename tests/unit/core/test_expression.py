"""Expressions: what they say, what they may look up, and that the fast path is no other language."""

from __future__ import annotations

import jmespath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.adapter import evaluation, expression, members

_KEYS = ("request", "reply", "body", "headers", "etag", "content-type", "data")
_SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=4)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=4),
    max_leaves=20,
)


@given(st.sampled_from(["request", "reply", "object"]), st.lists(st.sampled_from(_KEYS), max_size=4), _VALUES)
def test_a_dotted_path_finds_what_jmespath_finds(root: str, keys: list[str], document: object) -> None:
    text = ".".join([root, *(f'"{key}"' for key in keys)])
    compiled = expression.compile(text)
    assert compiled.keys == (root, *keys)
    assert compiled.search(document) == jmespath.search(text, document)
    assert compiled.search({root: document}) == jmespath.search(text, {root: document})


_SIDES = st.sampled_from(["request.body.data", "reply.body.data", "object", "`1`", "`1.0`", "`true`", "'data'", "`null`", "`{}`"])


@given(_SIDES, st.sampled_from(["==", "!="]), _SIDES, _VALUES, _VALUES)
def test_an_equality_is_what_the_interpreter_says(left: str, sign: str, right: str, one: object, other: object) -> None:
    compiled = expression.compile(f"{left} {sign} {right}")
    assert compiled.equality is not None
    for document in (one, {"request": {"body": one}, "reply": {"body": other}, "object": other}):
        assert compiled.search(document) is evaluation.INTERPRETER.visit(compiled.tree, document)


@pytest.mark.parametrize("text", ["reply.body[0] == `1`", "a.b < `1`", "(reply == `1`) == `true`", "!(reply) == `true`"])
def test_another_comparison_is_left_to_the_interpreter(text: str) -> None:
    assert expression.compile(text.replace("a.b", "reply.body")).equality is None


@pytest.mark.parametrize(
    "text",
    [
        "request.body.items[?price > `2`].name",
        "request.body.items[0]",
        "reply.status == `201`",
        "{data: snapshot}",
        "request.body.*",
        "length(request.body.items) > `1` && !(request.body.missing)",
        "sort_by(request.body.items, &price)[-1].name",
    ],
)
def test_any_other_expression_is_jmespath(text: str) -> None:
    document = {
        "request": {"body": {"items": [{"name": "a", "price": 3}, {"name": "b", "price": 1}]}},
        "reply": {"status": 201},
        "snapshot": 7,
    }
    compiled = expression.compile(text)
    assert compiled.keys is None
    assert compiled.search(document) == jmespath.search(text, document)


@pytest.mark.parametrize("value", [1, "yes", [0], {"a": 1}, 1.0, "true"])
def test_only_exactly_true_holds(value: object) -> None:
    assert not expression.compile("reply").holds({"reply": value})
    assert expression.compile("reply").holds({"reply": True})


@pytest.mark.parametrize(
    "text", ["length(request.body)", "request.body < 'a'", "sum(request.body.items)", "starts_with(request.body, 'a')"]
)
@pytest.mark.parametrize("body", [None, 5, True, [], {"items": ["a"]}])
def test_what_cannot_be_evaluated_is_no_value_and_no_error(text: str, body: object) -> None:
    assert expression.compile(text).search({"request": {"body": body}}) is not True


def test_what_a_tool_sets_automatically_can_be_left_out() -> None:
    kept = expression.compile("without(reply.body, ['version', 'missing'])")
    assert kept.roots == {"reply"}
    assert kept.search({"reply": {"body": {"status": "open", "version": 4}}}) == {"status": "open"}
    assert kept.search({"reply": {"body": ["version"]}}) is None


@pytest.mark.parametrize(
    ("text", "roots"),
    [
        ("request.body.reply", {"request"}),
        ("request.body[?object == vars].run", {"request"}),
        ("request.body.{object: vars}", {"request"}),
        ("request | vars", {"request"}),
        ("@.request.body", {"request"}),
        ("@ | request", {"request"}),
        ("request.body == object.body", {"request", "object"}),
        ("merge(snapshot, vars)", {"snapshot", "vars"}),
        ("sort_by(request.items, &price)", {"request"}),
        ("[request, reply][0].vars", {"request", "reply"}),
        ("request.items[*].vars", {"request"}),
        ("request.items[1:2].vars", {"request"}),
        ('run.tenant || `"none"`', {"run"}),
        ("'request'", set()),
    ],
)
def test_only_names_looked_up_in_the_document_are_roots(text: str, roots: set[str]) -> None:
    assert expression.compile(text).roots == roots


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the expression is empty"),
        ("request.body ==", "'request.body ==' is not complete"),
        ("request..body", "syntax error at column 9 of 'request..body', at '.'"),
        ("request.'a'", "syntax error at column 9"),
        ("request.body == 1", "write a literal between backticks, such as `1`"),
        (
            "request.body == true",
            "true is unknown here; an expression here begins with object, reply, request, run, snapshot or vars; write a literal",
        ),
        (
            "reqest.body",
            "reqest is unknown here; an expression here begins with object, reply, request, run, snapshot or vars; did you mean request?",
        ),
        ("lenght(request.body)", "there is no function lenght(); did you mean length?"),
        ("length(request, reply)", "length() takes 1 argument(s), not 2"),
        ("request" + ".a" * 2_000, "the expression is longer than 2048 characters"),
        ("!reply.body.ok", "! negates only the name behind it, so that this is never true; write !(...) around the whole path"),
        ("!request.body.items[0]", "write !(...) around the whole path"),
        ("request.body.items[?!a.b]", "write !(...) around the whole path"),
        ("(" * 1_000 + "request" + ")" * 1_000, "cannot be read"),
    ],
)
def test_a_wrong_expression_says_where_and_what_would_be_right(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        expression.compile(text)
    assert message in str(caught.value)


def test_a_place_can_know_fewer_roots() -> None:
    with pytest.raises(ValueError, match="reply is unknown here; an expression here begins with request or vars"):
        expression.compile("reply.body.id", roots=frozenset({"request", "vars"}))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('request.headers."X-Account"', 'lower case here; write request.headers."x-account"'),
        ("request.body.a == `1` && reply.headers.ETag", "lower case here; write reply.headers.etag"),
        ("segment(reply.headers.Location, `-1`)", "write reply.headers.location"),
        ("reply.text", "reply.text is unknown; reply has status, headers, body and bytes"),
        ("[request.header.a]", "request.header is unknown; request has method, path, query, headers and body; did you mean headers?"),
        ("length(object.items[?a == `1`])", "object.items is unknown"),
        ("run.id", "run.id is unknown"),
    ],
)
def test_what_no_document_has_does_not_load(text: str, problem: str) -> None:
    assert problem in str(members.unknown(expression.compile(text)))


@pytest.mark.parametrize("text", ["request.body.X", "vars.A.B", "snapshot.headers.X", "request.body[?headers.X]", "map(&text, reply.body)"])
def test_what_a_document_may_have_loads(text: str) -> None:
    assert members.unknown(expression.compile(text)) is None


@pytest.mark.parametrize(
    ("text", "hint"),
    [("request.headers.x-account", "a name with a dash is quoted"), ("application/vnd.api+json", "a text has quotes of its own")],
)
def test_a_syntax_error_says_what_would_be_right(text: str, hint: str) -> None:
    with pytest.raises(ValueError, match="syntax error at column") as problem:
        expression.compile(text)
    assert hint in str(problem.value)
