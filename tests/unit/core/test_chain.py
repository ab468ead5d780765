import base64
import hashlib

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.core.journal import chain, signed_note
from gateway.model.entry import Head
from tests.support.chains import PUBLIC, TRUSTED, entries, head


def finding(lines: list[bytes], anchors: list[str] | None = None) -> str:
    found = chain.verify(lines, keys=[TRUSTED], anchors=anchors or []).finding
    return str(found) if found else ""


def test_a_link_is_sha256_over_the_hex_text_before_it_and_the_canonical_entry() -> None:
    line = next(entries(1))
    fields = orjson.loads(line)
    hash_ = fields.pop("hash")
    assert fields["prev_hash"] == "0" * 64
    by_hand = orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)
    assert hash_ == hashlib.sha256(b"0" * 64 + by_hand).hexdigest() == chain.link(chain.GENESIS, fields)


def test_a_line_is_the_canonical_entry_with_its_hash() -> None:
    for line in entries(3):
        assert line == chain.canonical(orjson.loads(line))


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (1.0, "amount: an entry may not contain float"),
        ({"of": [1, {"deep": 0.5}]}, r"amount\.of\[1\]\.deep: an entry may not contain float"),
        (2**53, "amount.*53-bit"),
        (-(2**60), "amount.*53-bit"),
        ("\ud800", "amount.*surrogates"),
        (b"bytes", "may not contain bytes"),
        ({1: 2}, "amount: a key is not a string"),
    ],
)
def test_a_value_that_is_invalid_of_ours_is_refused_by_name(value: object, named: str) -> None:
    with pytest.raises(TypeError, match=named):
        chain.draft({"stream": "st", "seq": 1, "amount": value})


def test_names_of_fields_are_ascii_and_the_chains_own_are_the_journals() -> None:
    with pytest.raises(TypeError, match="ASCII"):
        chain.canonical({"größe": 1})
    for name in ("hash", "prev_hash"):
        with pytest.raises(TypeError, match="set by the journal"):
            chain.draft({name: "x"})


def test_a_whole_chain_with_its_heads_has_no_finding() -> None:
    lines = [*entries(20), *entries(5, "st_2")]
    heads = [chain.head_line(head(lines[19])), chain.head_line(head(lines[24]))]
    verified = chain.verify([line + b"\n" for line in [*lines, *heads]], keys=[TRUSTED], anchors=[head(lines[7]).note])
    assert verified.finding is None
    assert (verified.entries, verified.heads) == (25, 2)
    assert verified.streams == {"st_1": 20, "st_2": 5}
    assert verified.uncovered == {"st_1": 0, "st_2": 0}


def test_entries_above_the_newest_head_are_reported() -> None:
    lines = list(entries(20))
    assert chain.verify([*lines, chain.head_line(head(lines[11]))]).uncovered == {"st_1": 8}


def test_a_missing_entry_is_named() -> None:
    lines = list(entries(9))
    assert finding(lines[:4] + lines[5:]).startswith("st_1/5: expected seq 5, found 6")


def test_a_repeated_entry_is_named() -> None:
    lines = list(entries(9))
    assert finding(lines[:4] + lines[3:]).startswith("st_1/5: expected seq 5, found 4")


def test_a_changed_entry_is_named() -> None:
    lines = list(entries(9))
    lines[4] = lines[4].replace(b"run_1", b"run_2")
    assert finding(lines) == "st_1/5: hash does not cover the entry: it was changed"


def test_an_entry_linked_again_breaks_the_next() -> None:
    lines = list(entries(9))
    fields = orjson.loads(lines[4].replace(b"run_1", b"run_2"))
    del fields["hash"]
    prev = fields.pop("prev_hash")
    lines[4] = chain.draft(fields).link(prev).line
    assert finding(lines) == "st_1/6: prev_hash is not the hash of the entry before it"


def test_a_rewritten_history_does_not_match_its_head() -> None:
    lines, other = list(entries(9)), []
    prev = chain.GENESIS
    for line in lines:
        fields = orjson.loads(line.replace(b"run_1", b"run_2"))
        del fields["hash"], fields["prev_hash"]
        linked = chain.draft(fields).link(prev)
        prev = linked.hash
        other.append(linked.line)
    assert finding([*other, chain.head_line(head(lines[8]))]).endswith(
        "signed head has another hash than the journal: history was rewritten"
    )
    assert finding(other, anchors=[head(lines[3]).note]).startswith("st_1/4: anchored head has another hash")


def test_a_cut_tail_shows_against_a_head_and_an_anchor() -> None:
    lines = list(entries(9))
    assert finding([*lines[:6], chain.head_line(head(lines[8]))]).startswith("st_1/7: signed head at seq 9, but the journal ends at 6")
    assert finding(lines[:6], anchors=[head(lines[8]).note]).startswith("st_1/7: anchored head at seq 9")
    assert finding([], anchors=[head(lines[8]).note]).startswith("st_1/1: anchored head at seq 9, but the journal ends at 0")


@pytest.mark.parametrize(
    "spelling",
    [
        lambda line: line.replace(b'"seq":2', b'"seq": 2'),
        lambda line: line.replace(b'"seq":2', b'"seq":2,"seq":2'),
        lambda line: line.replace(b'"seq":2', b'"seq":2e0'),
        lambda line: line.replace(b'"run_1"', b'"run\\u005f1"'),
        lambda line: b"{" + b",".join(reversed(line[1:-1].split(b","))) + b"}",
        lambda line: line + b" ",
        lambda line: line + b"\r",
        lambda line: b" " + line,
        lambda line: line.upper(),
    ],
)
def test_another_spelling_of_the_same_entry_is_a_finding(spelling: object) -> None:
    lines = list(entries(3))
    lines[1] = spelling(lines[1])  # type: ignore[operator]
    assert finding(lines)


def test_a_float_is_a_finding_even_where_its_bytes_come_back_alike() -> None:
    prev = chain.GENESIS
    covered = b'{"amount":1.5,"prev_hash":"%b","seq":1,"stream":"st_1"}' % prev.encode()
    digest = hashlib.sha256(prev.encode() + covered).hexdigest().encode()
    line = covered.replace(b'"prev_hash"', b'"hash":"%b","prev_hash"' % digest)
    assert "not contain float" in finding([line])


@pytest.mark.parametrize("line", [b"", b"null", b"[]", b"{", b'{"seq":4}', b'{"stream":"st_1","seq":true}', b"\xff", b'{"checkpoint":1}'])
def test_a_line_that_is_no_entry_is_named_by_the_place_it_stands_in(line: bytes) -> None:
    assert finding([*entries(3), line]).startswith("st_1/4: line 4: ")


def test_an_entry_after_the_heads_is_a_finding() -> None:
    lines = list(entries(3))
    assert "heads must follow all entries" in finding([*lines[:2], chain.head_line(head(lines[1])), lines[2]])


@pytest.mark.parametrize("taken", [{"checkpoint_id": "chk_1", "state_ref": "wf@3"}, "chk_1", "killcord\nx"])
def test_an_entry_that_tells_of_a_checkpoint_is_an_entry_and_no_head(taken: object) -> None:
    first = next(entries(1))
    fields = {"stream": "st_1", "seq": 2, "ts": "2026-11-24T20:08:02.000000Z", "kind": "checkpoint", "checkpoint": taken}
    second = chain.draft(fields).link(orjson.loads(first)["hash"]).line
    assert finding([first, second, chain.head_line(head(second))]) == ""
    assert finding([first, second.replace(b"chk_1", b"chk_2").replace(b"nx", b"ny"), chain.head_line(head(second))]).startswith("st_1/2: ")
    unlinked = orjson.loads(second)
    del unlinked["prev_hash"]
    assert finding([first, orjson.dumps(unlinked)]).startswith("st_1/2: ")


def test_a_head_of_a_stranger_or_one_that_says_other_than_its_note_is_a_finding() -> None:
    lines = list(entries(3))
    signed = head(lines[2])
    stranger = Ed25519PrivateKey.generate()
    text = signed_note.body(Head("st_1", 3, signed.hash, "now", note=""))
    forged = signed_note.signed(text, "killcord", stranger.public_key().public_bytes_raw(), stranger.sign(text.encode()))
    assert "no trusted key signed it" in finding([*lines, chain.head_line(Head("st_1", 3, signed.hash, "now", forged))])
    mimic = signed_note.signed(text, "killcord", PUBLIC, stranger.sign(text.encode()))
    assert "no trusted key signed it" in finding([*lines, chain.head_line(Head("st_1", 3, signed.hash, "now", mimic))])
    assert "differs from its signed note" in finding([*lines, chain.head_line(Head("st_1", 2, signed.hash, "now", signed.note))])
    assert "not a signed note" in finding([*lines, chain.head_line(Head("st_1", 3, signed.hash, "now", "text"))])


def test_a_verifier_key_says_what_a_note_needs() -> None:
    name, ident, coded = TRUSTED.split("+", 2)
    assert base64.b64decode(coded) == b"\x01" + PUBLIC
    assert ident == hashlib.sha256(name.encode() + b"\n\x01" + PUBLIC).hexdigest()[:8]
    with pytest.raises(ValueError, match="not a verifier key"):
        signed_note.verify(head(next(entries(1))).note, ["killcord+00000000+" + coded])
