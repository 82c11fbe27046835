"""What the host of a URL is: this machine, or a place that hands out credentials and is never an S3 service. Asks no DNS."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address

_METADATA_HOSTS = frozenset({"metadata", "metadata.google.internal", "instance-data", "instance-data.ec2.internal"})
_METADATA_ADDRESSES = frozenset(
    ip_address(one)
    for one in (
        "169.254.169.254",
        "fd00:ec2::254",  # AWS
        "fd20:ce::254",  # Google
        "100.100.100.200",  # Alibaba
        "168.63.129.16",  # Azure
        "192.0.0.192",  # Oracle
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")


def address_of(host: str) -> Address | None:
    """Return the address that a host is written as, in any spelling that the resolver takes (``0x7f.1``); None for a name.

    An IPv4 address inside an IPv6 one (mapped, NAT64, 6to4) is returned as itself: that is where packets would go.
    """
    try:
        address = ip_address(host.split("%", 1)[0])
    except ValueError:
        try:
            return IPv4Address(socket.inet_aton(host))
        except (OSError, ValueError):
            return None
    return _inner(address) if isinstance(address, IPv6Address) else address


def _inner(address: IPv6Address) -> Address:
    inside = address.ipv4_mapped or address.sixtofour
    if inside is None and address in _NAT64:
        inside = IPv4Address(int(address) & 0xFFFFFFFF)
    return inside or address


def hands_out_credentials(host: str) -> bool:
    """Say whether a host, name or address, is link-local or a metadata service."""
    address = address_of(host)
    if address is None:
        return host.rstrip(".").lower() in _METADATA_HOSTS
    return address.is_link_local or address in _METADATA_ADDRESSES


def is_loopback(host: str) -> bool:
    """Say whether a host, name or address, means this machine."""
    address = address_of(host)
    if address is not None:
        return address.is_loopback
    name = host.rstrip(".").lower()
    return name == "localhost" or name.endswith(".localhost")
