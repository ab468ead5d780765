"""Which addresses a tool may have: not the cloud's metadata, nothing that is no single host. Pure; the list is our own.

``ipaddress.is_global`` is no help: it says True for IPv6 forms that wrap a forbidden IPv4 address, and tools live on loopback
and private networks, which it calls not global.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

_FORBIDDEN = [
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",  # this network, unspecified
        "169.254.0.0/16",  # link-local: metadata of AWS, Azure, GCP, OpenStack
        "100.100.100.200/32",  # metadata of Alibaba Cloud
        "168.63.129.16/32",  # Azure's wire server
        "192.0.0.192/32",  # metadata of Oracle Cloud, classic
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
        "::/128",
        "fd00:ec2::/32",  # metadata of AWS (fd00:ec2::254 and its siblings)
        "fd20:ce::254/128",  # metadata of GCP
        "fe80::/10",  # link-local
        "ff00::/8",  # multicast
    )
]
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.ip_network("64:ff9b:1::/48")
_COMPATIBLE = ipaddress.ip_network("::/96")
_LOOPBACK = ipaddress.IPv6Address(1)
_ISATAP = (0x00005EFE, 0x02005EFE)


def loopback(host: str) -> bool:
    """Whether a host, as it is written, is this machine alone: ``localhost``, or an address that is. No name that only begins like one."""
    ip = _ip(host)
    return host == "localhost" or (ip is not None and (getattr(ip, "ipv4_mapped", None) or ip).is_loopback)


def peer(socket_name: object) -> str | None:
    """The address of a connection's other end, from ``getpeername``; ``None`` for what is on this machine, where all share one."""
    if not isinstance(socket_name, tuple) or not socket_name:
        return None
    host = str(socket_name[0])
    return None if loopback(host) else host


def literal(host: str) -> bool:
    """Whether a host is written as an address, and not as a name."""
    return _ip(host) is not None


def allowed(address: str) -> bool:
    """Whether a tool at this IP address may be dialled; IPv6 forms that wrap IPv4 are judged by what they wrap."""
    ip = _ip(address.partition("%")[0])
    if ip is None:
        return False
    wrapped = _wrapped(ip) if isinstance(ip, ipaddress.IPv6Address) else ()
    return not any(one in network for one in (ip, *wrapped) for network in _FORBIDDEN if one.version == network.version)


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _wrapped(ip: ipaddress.IPv6Address) -> Iterator[ipaddress.IPv4Address]:
    low = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    if ip.ipv4_mapped:
        yield ip.ipv4_mapped
    if ip in _COMPATIBLE and ip != _LOOPBACK:
        yield low
    if ip.sixtofour:
        yield ip.sixtofour
    if ip.teredo:
        yield from ip.teredo
    if ip in _NAT64 or ip in _NAT64_LOCAL:
        yield low
    if ip in _NAT64_LOCAL:
        yield _skipping_octet(ip)
    if (int(ip) >> 32) & 0xFFFFFFFF in _ISATAP:
        yield low


def _skipping_octet(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address:
    """The IPv4 address behind a /48 prefix, which goes around bits 64 to 71 (RFC 6052, 2.2)."""
    return ipaddress.IPv4Address(ip.packed[6:8] + ip.packed[9:11])
