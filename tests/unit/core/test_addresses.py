"""Which addresses a tool may have."""

from __future__ import annotations

import pytest

from gateway.core import addresses


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "fd12::1", "93.184.216.34"])
def test_a_tool_may_live_near_or_far(address: str) -> None:
    assert addresses.allowed(address)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254",
        "0.0.0.0", "0.1.2.3",
        "::", "224.0.0.1", "239.1.1.1", "255.255.255.255", "240.0.0.1", "ff02::1", "fe80::1", "fe80::1%eth0",
    ],
)  # fmt: skip
def test_metadata_and_what_is_no_single_host_are_forbidden(address: str) -> None:
    assert not addresses.allowed(address)


@pytest.mark.parametrize(
    "address",
    [
        "::ffff:169.254.169.254",
        "::ffff:a9fe:a9fe",
        "::169.254.169.254",
        "2002:a9fe:a9fe::1",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::a9fe:a9fe",
        "64:ff9b:1:a9fe:a9:fe00::",
        "2001:0:a9fe:a9fe::1",
        "2001:0:0102:0304:0:0:5601:5601",
        "2001:db8::5efe:169.254.169.254",
        "2001:db8::200:5efe:169.254.169.254",
        "::ffff:0.0.0.0",
    ],
)
def test_an_ipv6_form_is_judged_by_the_ipv4_address_it_wraps(address: str) -> None:
    assert not addresses.allowed(address)


def test_a_wrapped_loopback_is_a_loopback() -> None:
    assert addresses.allowed("::ffff:127.0.0.1")


@pytest.mark.parametrize("text", ["", "localhost", "2852039166", "0xa9fea9fe", "169.254.169", "1.2.3.4.5"])
def test_what_is_no_address_is_forbidden(text: str) -> None:
    assert not addresses.allowed(text)
