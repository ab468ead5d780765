import os
from pathlib import Path

import pytest

from gateway import errors
from gateway.clients.keys import signing
from gateway.core.journal import signed_note
from gateway.model.entry import Head

HASH = "ab" * 32


def test_a_signed_head_is_a_c2sp_note_that_its_verifier_key_trusts(tmp_path: Path) -> None:
    signer = signing.open_head_key(tmp_path / "keys")
    text = signer.sign("st_1", 42, HASH, "2026-11-24T20:08:03.000000Z")
    assert text.startswith(
        "killcord/st_1\n42\nq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=\nts 2026-11-24T20:08:03.000000Z\n\n\u2014 killcord "
    )
    assert signed_note.verify(text, [signer.verifier_key]) == Head("st_1", 42, HASH, "2026-11-24T20:08:03.000000Z", text)


def test_the_key_is_made_once(tmp_path: Path) -> None:
    first = signing.open_head_key(tmp_path / "keys")
    assert signing.open_head_key(tmp_path / "keys").verifier_key == first.verifier_key
    assert (tmp_path / "keys" / "head.pem").stat().st_mode & 0o777 == 0o600


def test_a_readable_key_or_another_file_stops_the_start(tmp_path: Path) -> None:
    signing.open_head_key(tmp_path / "keys")
    os.chmod(tmp_path / "keys" / "head.pem", 0o640)
    with pytest.raises(errors.Misconfigured, match="chmod 600"):
        signing.open_head_key(tmp_path / "keys")
    os.chmod(tmp_path / "keys" / "head.pem", 0o600)
    (tmp_path / "keys" / "head.pem").write_text("nothing")
    with pytest.raises(errors.Misconfigured, match="not an Ed25519 private key"):
        signing.open_head_key(tmp_path / "keys")


def test_a_note_of_another_key_is_not_trusted(tmp_path: Path) -> None:
    ours, theirs = signing.open_head_key(tmp_path / "ours"), signing.open_head_key(tmp_path / "theirs")
    with pytest.raises(signed_note.NotTrusted, match="no trusted key"):
        signed_note.verify(theirs.sign("st_1", 42, HASH, "now"), [ours.verifier_key])


def test_no_byte_of_a_note_can_be_changed(tmp_path: Path) -> None:
    signer = signing.open_head_key(tmp_path / "keys")
    text = signer.sign("st_1", 42, HASH, "2026-11-24T20:08:03.000000Z")
    for index in range(len(text)):
        changed = text[:index] + chr(ord(text[index]) ^ 1) + text[index + 1 :]
        with pytest.raises(signed_note.NotTrusted):
            signed_note.verify(changed, [signer.verifier_key])
    for other in (text + "\n", text[:-1], "\n" + text, text.replace("\n42\n", "\n042\n"), ""):
        with pytest.raises(signed_note.NotTrusted):
            signed_note.verify(other, [signer.verifier_key])
