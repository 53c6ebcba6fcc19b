"""Which IP addresses may be connected to: the list of refused networks is ours, each connection is checked against it.

Sources: the special-purpose registries of IANA (RFC 6890 and its updates) and the host services of clouds.
"""

import asyncio
import ipaddress
import re
import socket
import unicodedata
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

import httpcore

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port to IP addresses, in the order to try them. Raises OSError or ValueError for an unknown name."""

CONNECT_WITHIN: Final = 5.0  # seconds for one IP address, after which the next one is tried

_REFUSED: Final = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by a carrier's customers; Alibaba's metadata service 100.100.100.200
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's host service
        "169.254.0.0/16",  # link-local; metadata services of most clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # IETF protocols; Oracle's metadata service 192.0.0.192
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays, withdrawn
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
        "2001::/23",  # IETF protocols: Teredo, benchmarks, ORCHID, drones
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "3ffe::/16",  # 6bone, given back
        "3fff::/20",  # documentation
    )
)

_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
"""All that is allocated to hosts of the internet. Outside: loopback, ::/96, 100::/64, 5f00::/16, fc00::/7 (with the
metadata services fd00:ec2::254 and fd20:ce::254), fe80::/10, fec0::/10, ff00::/8, 64:ff9b:1::/48 …"""

_WITH_IPV4_INSIDE: Final = (ipaddress.IPv6Network("::ffff:0:0/96"), ipaddress.IPv6Network("64:ff9b::/96"))
"""IPv4-mapped, and NAT64: the inner IPv4 address is where the connection goes."""

_NUMBER: Final = re.compile(r"(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+)){0,3}", re.ASCII)
"""IPv4 in any form that a resolver accepts: `127.1`, `0x7f.1`, `0177.0.0.1`, `2130706433`."""


class PrivateAddress(OSError):
    """All IP addresses of the host are in refused networks."""


def is_public(ip: str | IPAddress) -> bool:
    """Whether a host of the internet may have this IP address. Raises ValueError for text that is not one."""
    address = ipaddress.ip_address(ip)
    if address.version == 6 and any(address in network for network in _WITH_IPV4_INSIDE):
        return address.scope_id is None and is_public(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    if address.version == 6 and (address.scope_id is not None or address not in _GLOBAL_UNICAST):
        return False  # a scope has a meaning on this machine's links alone
    return not any(address in network for network in _REFUSED)


def plain(host: str) -> str:
    """The host as a resolver reads it: ASCII forms of full-width letters, dots and digits, no dot at the end."""
    return unicodedata.normalize("NFKC", host).replace("\u3002", ".").rstrip(".").lower()


def literal(host: str) -> IPAddress | None:
    """The IP address that a host of an address is, in any spelling; None for a name."""
    host = plain(host)
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    if not _NUMBER.fullmatch(host):
        return None
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


async def resolve(host: str, port: int) -> Sequence[str]:
    """The IP addresses of a host by the system's resolver; no answer is kept."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(place[0]) for *_, place in found]


class GuardedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to public IP addresses alone, except at the hosts and ports that `trusted` names."""

    def __init__(self, *, trusted: Iterable[tuple[str, int]] = (), resolver: Resolver = resolve) -> None:
        self._trusted = frozenset(trusted)
        self._resolver = resolver
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # httpcore's own name
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """The first IP address that answers. Raises PrivateAddress, OSError, ValueError or httpcore's errors."""
        written = literal(host)
        found = await self._resolver(host, port) if written is None else [str(written)]
        allowed = [ip for ip in found if (host, port) in self._trusted or is_public(ip)]
        fault: Exception = PrivateAddress("the host is in a private network")
        for ip in allowed:
            try:
                return await self._network.connect_tcp(ip, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as exc:
                fault = exc
        raise fault
