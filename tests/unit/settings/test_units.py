"""Durations, sizes, rates, amounts and addresses as users write them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from gateway.core import units
from gateway.model.run import Rate
from gateway.settings import network


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("200ms", 0.2), ("10s", 10), ("15m", 900), ("8h", 28_800), ("7d", 604_800), ("1.5h", 5_400), (3, 3), (Decimal("0.5"), 0.5)],
)
def test_durations(text: object, seconds: float) -> None:
    assert units.duration(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "10 s", "-1s", "s", "1h30m", 0, -1, True, None, "0s", "99999d", "١s", [1]])
def test_what_is_no_duration_says_what_is(text: object) -> None:
    with pytest.raises(ValueError, match="is not a duration; write 200ms, 10s, 15m"):
        units.duration(text)


@pytest.mark.parametrize(("text", "count"), [("1MiB", 1_048_576), ("64kB", 64_000), (512, 512), ("512", 512), ("2GiB", 2**31), ("9B", 9)])
def test_sizes(text: object, count: int) -> None:
    assert units.size(text) == count


@pytest.mark.parametrize("text", ["1mb", "1.5MiB", 0, -5, "", True, None, "9999GiB"])
def test_what_is_no_size_says_what_is(text: object) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        units.size(text)


@pytest.mark.parametrize(("text", "rate"), [("50/s", Rate(50)), ("10/m", Rate(10, 60.0)), ("100/h", Rate(100, 3_600.0))])
def test_rates(text: str, rate: Rate) -> None:
    assert units.rate(text) == rate
    assert str(units.rate(text)) == text


@pytest.mark.parametrize("text", ["0/s", "50", "50/d", "-1/s", 50, None, "5.5/s"])
def test_what_is_no_rate_says_what_is(text: object) -> None:
    with pytest.raises(ValueError, match="is not a rate; write 50/s"):
        units.rate(text)


@pytest.mark.parametrize(
    ("value", "millionths"), [(1000, 1_000_000_000), (Decimal("0.1"), 100_000), (0, 0), (Decimal("12.345678"), 12_345_678)]
)
def test_amounts_are_exact(value: object, millionths: int) -> None:
    assert units.amount(value) == millionths


@pytest.mark.parametrize("value", [-1, True, "5", Decimal("0.0000001"), 10**10, None])
def test_what_is_no_amount_says_what_is(value: object) -> None:
    with pytest.raises(ValueError, match="is not an amount"):
        units.amount(value)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8090", network.Address("127.0.0.1", 8090)),
        ("[::1]:8090", network.Address("::1", 8090)),
        ("localhost:0", network.Address("localhost", 0)),
        ("unix:///run/killcord.sock", network.Address(path="/run/killcord.sock")),
    ],
)
def test_addresses(text: str, address: network.Address) -> None:
    assert network.address(text) == address
    assert str(address) == text
    assert address.url == (text if text.startswith("unix:") else f"http://{text}")
    assert address.loopback


@pytest.mark.parametrize("text", ["8090", ":8090", "127.0.0.1", "127.0.0.1:99999", 8090, "unix://relative", "http://x:1"])
def test_what_is_no_address_says_what_is(text: object) -> None:
    with pytest.raises(ValueError, match="is not an address"):
        network.address(text)


def test_an_address_of_every_interface_is_not_loopback() -> None:
    assert not network.address("0.0.0.0:8090").loopback
    assert not network.address("10.0.0.1:8090").loopback
    assert not network.address("127.evil.example:8090").loopback


@pytest.mark.parametrize(
    ("url", "readable"),
    [
        ("http://localhost:8080", False),
        ("http://127.8.9.1", False),
        ("http://[::1]:80", False),
        ("unix:///run/erp.sock", False),
        ("https://erp.example", False),
        ("http://erp.example", True),
        ("http://127.evil.example", True),
        ("http://127.0.0.1.evil.example", True),
        ("http://localhost.evil.example", True),
    ],
)
def test_only_this_machine_itself_is_no_network(url: str, readable: bool) -> None:
    assert network.origin(url).sent_in_plain_text is readable


@pytest.mark.parametrize(
    ("url", "parts", "authority"),
    [
        ("http://erp.internal:8080/v1", network.Origin("http", "erp.internal", 8080, "", "/v1"), b"erp.internal:8080"),
        ("https://ERP.example/", network.Origin("https", "erp.example", 443, "", ""), b"erp.example"),
        ("http://[::1]:80", network.Origin("http", "::1", 80, "", ""), b"[::1]"),
        ("unix:///run/erp.sock", network.Origin("unix", "localhost", 0, "/run/erp.sock", ""), b"localhost"),
        ("unix:///run/erp.sock:/v1", network.Origin("unix", "localhost", 0, "/run/erp.sock", "/v1"), b"localhost"),
    ],
)
def test_base_urls(url: str, parts: network.Origin, authority: bytes) -> None:
    assert network.origin(url) == parts
    assert parts.authority == authority
    assert network.origin(str(parts)) == parts


@pytest.mark.parametrize(
    "url",
    [
        "erp.internal",
        "ftp://x",
        "http://",
        "http://x:0",
        "http://x:99999",
        "http://x/a/../b",
        "http://x/a//b",
        "http://x/?q=1",
        "http://x/#f",
        "http://x/%41",
    ],
)
def test_what_is_no_base_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        network.origin(url)


def test_a_password_in_a_base_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="move them to credential") as caught:
        network.origin("http://user:hunter2@erp/")
    assert "hunter2" not in str(caught.value)
