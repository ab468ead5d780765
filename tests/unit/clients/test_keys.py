import base64
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives import hashes, hmac
from joserfc import jws
from joserfc.jwk import OKPKey

from gateway import errors
from gateway.clients.keys import signing
from gateway.model.run import Lease

LEASE = Lease(run_id="run_1", tenant="acme", generation=3, not_before=1000.0, expires_at=2000.25)
HEADER = {"alg": "Ed25519", "typ": "killcord-lease+jwt"}
CLAIMS = {"iss": "killcord", "aud": "killcord:agents", "sub": "run_1", "ten": "acme", "gen": 3, "iat": 1000, "nbf": 1000, "exp": 2000}


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def ours(folder: Path) -> signing.SignedLeases:
    return signing.open_lease_keys(folder)


def signing_key(folder: Path) -> OKPKey:
    return OKPKey.import_key((folder / "lease-0001.pem").read_bytes())


def token(key: OKPKey, header: Mapping[str, object], claims: object) -> str:
    """A token made by hand: a valid signature over whatever is given."""
    covered = f"{b64(orjson.dumps(header))}.{b64(orjson.dumps(claims))}"
    return f"{covered}.{b64(key.private_key.sign(covered.encode()))}"  # type: ignore[union-attr]


def published_keys(ours: signing.SignedLeases) -> list[dict[str, Any]]:
    found = ours.jwks()["keys"]
    assert isinstance(found, list)
    return found


def test_a_lease_comes_back_as_it_was_signed(ours: signing.SignedLeases) -> None:
    assert ours.verify(ours.sign(LEASE, now=1000.0)) == LEASE


def test_a_lease_is_a_plain_jwt_that_others_verify_with_the_published_key(ours: signing.SignedLeases) -> None:
    published = published_keys(ours)[0]
    assert published["alg"] == "Ed25519"
    assert "d" not in published
    read = jws.deserialize_compact(ours.sign(LEASE, now=1000.0), OKPKey.import_key(published), algorithms=["Ed25519"])
    assert read.headers() == {**HEADER, "kid": published["kid"]}
    assert orjson.loads(read.payload) == {**CLAIMS, "exp": 2000.25}


def test_keys_are_made_once_and_readable_by_their_owner_alone(folder: Path) -> None:
    first = signing.open_lease_keys(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "lease-0001.pem").stat().st_mode & 0o777 == 0o600
    again = signing.open_lease_keys(folder)
    assert again.verify(first.sign(LEASE, now=1000.0)) == LEASE


def test_a_readable_key_stops_the_start_and_names_the_way_out(folder: Path) -> None:
    signing.open_lease_keys(folder)
    os.chmod(folder / "lease-0001.pem", 0o644)
    with pytest.raises(errors.Misconfigured, match=r"chmod 600 .*lease-0001\.pem"):
        signing.open_lease_keys(folder)
    os.chmod(folder / "lease-0001.pem", 0o600)
    os.chmod(folder, 0o755)
    with pytest.raises(errors.Misconfigured, match="chmod 700"):
        signing.open_lease_keys(folder)


def test_a_file_that_is_no_key_stops_the_start(folder: Path) -> None:
    signing.open_lease_keys(folder)
    (folder / "lease-0001.pem").write_text("nothing")
    with pytest.raises(errors.Misconfigured, match="openssl genpkey"):
        signing.open_lease_keys(folder)


def test_leases_outlive_a_rotation(folder: Path, ours: signing.SignedLeases) -> None:
    old = ours.sign(LEASE, now=1000.0)
    signing.add_lease_key(folder)
    rotated = signing.open_lease_keys(folder)
    assert rotated.verify(old) == LEASE
    new = rotated.sign(LEASE, now=1000.0)
    assert new.split(".")[0] != old.split(".")[0]
    with pytest.raises(errors.LeaseInvalid):
        ours.verify(new)
    assert len(published_keys(rotated)) == 2


def test_a_token_is_one_exact_string(ours: signing.SignedLeases) -> None:
    good = ours.sign(LEASE, now=1000.0)
    head, body, signature = good.split(".")
    last = signature[-1]
    # The last character of a 64-byte signature holds four unused bits: another one decodes alike.
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    twin = alphabet[alphabet.index(last) ^ 1]
    for other in (
        f"{head}.{body}.{signature[:-1]}{twin}",
        good + "=",
        good + "==",
        good + "\n",
        " " + good,
        good + ".",
        f"{head}.{body}.",
        f"{head}.{body}",
        f"{head}..{signature}",
        head,
        "",
        f"{head}.{body}.{signature}.{signature}",
        good.replace(".", ".\u200b", 1),
        f"{head}.{body}\u00e9.{signature}",
    ):
        with pytest.raises(errors.LeaseInvalid):
            ours.verify(other)


def test_every_changed_character_is_refused(ours: signing.SignedLeases) -> None:
    good = ours.sign(LEASE, now=1000.0)
    for index, character in enumerate(good):
        if character != ".":
            with pytest.raises(errors.LeaseInvalid):
                ours.verify(good[:index] + ("A" if character != "A" else "B") + good[index + 1 :])


@pytest.mark.parametrize(
    "change",
    [
        {"alg": "EdDSA"},
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "ed25519"},
        {"kid": "other"},
        {"kid": None},
        {"typ": "JWT"},
        {"typ": None},
        {"crit": ["exp"]},
        {"crit": []},
        {"b64": False},
        {"jku": "https://evil.example/jwks"},
        {"jwk": {"kty": "OKP"}},
        {"x5u": "https://evil.example"},
        {"cty": "JWT"},
    ],
)
def test_a_header_other_than_ours_is_refused_even_when_our_key_signed_it(
    folder: Path, ours: signing.SignedLeases, change: dict[str, object]
) -> None:
    key = signing_key(folder)
    header = {name: value for name, value in {**HEADER, "kid": key.thumbprint(), **change}.items() if value is not None}
    with pytest.raises(errors.LeaseInvalid):
        ours.verify(token(key, header, CLAIMS))


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "other"},
        {"aud": "killcord:operators"},
        {"aud": ["killcord:agents"]},
        {"sub": 1},
        {"sub": None},
        {"ten": ["acme"]},
        {"gen": True},
        {"gen": "3"},
        {"gen": 3.0},
        {"nbf": True},
        {"nbf": "1000"},
        {"exp": None},
        {"exp": False},
        {"exp": "never"},
    ],
)
def test_a_claim_of_another_kind_is_refused_even_when_our_key_signed_it(
    folder: Path, ours: signing.SignedLeases, change: dict[str, object]
) -> None:
    key = signing_key(folder)
    header = {"alg": "Ed25519", "kid": key.thumbprint(), "typ": "killcord-lease+jwt"}
    with pytest.raises(errors.LeaseInvalid):
        ours.verify(token(key, header, {**CLAIMS, **change}))
    assert ours.verify(token(key, header, CLAIMS)).run_id == "run_1"


@pytest.mark.parametrize("claims", [[], "text", 1, None])
def test_claims_that_are_no_object_are_refused(folder: Path, ours: signing.SignedLeases, claims: object) -> None:
    key = signing_key(folder)
    with pytest.raises(errors.LeaseInvalid):
        ours.verify(token(key, {"alg": "Ed25519", "kid": key.thumbprint(), "typ": "killcord-lease+jwt"}, claims))


def test_a_foreign_key_is_refused_even_under_our_key_id(folder: Path, ours: signing.SignedLeases) -> None:
    stranger = OKPKey.generate_key("Ed25519")
    with pytest.raises(errors.LeaseInvalid):
        ours.verify(token(stranger, {"alg": "Ed25519", "kid": signing_key(folder).thumbprint(), "typ": "killcord-lease+jwt"}, CLAIMS))


def test_the_public_key_used_as_a_shared_secret_is_refused(folder: Path, ours: signing.SignedLeases) -> None:
    key = signing_key(folder)
    covered = f"{b64(orjson.dumps({**HEADER, 'alg': 'HS256', 'kid': key.thumbprint()}))}.{b64(orjson.dumps(CLAIMS))}"
    mac = hmac.HMAC(key.as_pem(private=False), hashes.SHA256())
    mac.update(covered.encode())
    with pytest.raises(errors.LeaseInvalid):
        ours.verify(f"{covered}.{b64(mac.finalize())}")


def test_an_oversized_token_is_not_looked_at(folder: Path, ours: signing.SignedLeases) -> None:
    key = signing_key(folder)
    header = {"alg": "Ed25519", "kid": key.thumbprint(), "typ": "killcord-lease+jwt"}
    with pytest.raises(errors.LeaseInvalid):
        ours.verify(token(key, header, {**CLAIMS, "more": "x" * 4096}))


def test_a_lease_never_lives_longer_than_was_asked(ours: signing.SignedLeases) -> None:
    lease = Lease(run_id="r", tenant="t", generation=1, not_before=5.0, expires_at=1795550000.9999999)
    assert ours.verify(ours.sign(lease, now=5.0)).expires_at <= lease.expires_at
