"""The guard, address by address: both ends of each refused network, their neighbours, and every spelling."""

import ipaddress

import pytest

from edits.network import addresses, guard

REFUSED = [
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
    "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    "::/96", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "200::/7", "2001::/32", "2001:2::/48", "2001:10::/28",
    "2001:20::/28", "2001:30::/28", "2001:db8::/32", "2002::/16", "3ffe::/16", "3fff::/20", "4000::/3", "5f00::/16",
    "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8", "::ffff:0:0:0/96",
]  # fmt: skip

METADATA = {
    "most clouds": "169.254.169.254", "AWS containers": "169.254.170.2", "AWS, v6": "fd00:ec2::254",
    "Google, v6": "fd20:ce::254",
    "Azure": "168.63.129.16", "Alibaba": "100.100.100.200", "Oracle": "192.0.0.192", "Scaleway": "169.254.42.42",
}  # fmt: skip

PUBLIC = [
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
    "168.63.129.15", "168.63.129.17", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0",
    "191.255.255.255",
    "192.0.1.0", "192.0.3.0", "192.88.98.255", "192.88.100.0", "192.167.255.255", "192.169.0.0", "198.17.255.255",
    "198.20.0.0", "198.51.99.255", "198.51.101.0", "203.0.112.255", "203.0.114.0", "223.255.255.255",
    "2001:200::1", "2001:4860:4860::8888", "2001:db7:ffff::1", "2001:db9::1", "2003::1", "2606:4700::1111",
    "2a00:1450::1",
    "3ffd::1", "3fff:1000::1", "::ffff:8.8.8.8", "64:ff9b::808:808",
]  # fmt: skip


@pytest.mark.parametrize("network", REFUSED)
def test_a_refused_network_is_refused_from_its_first_address_to_its_last(network: str) -> None:
    whole = ipaddress.ip_network(network)
    for address in (whole[0], whole[whole.num_addresses // 2], whole[-1]):
        assert not guard.is_public(address), address


@pytest.mark.parametrize("network", [network for network in REFUSED if "." in network])
@pytest.mark.parametrize("inside", ["::ffff:0:0", "64:ff9b::", "2002::", "::", "64:ff9b:1::", "2001::"])
def test_a_refused_ipv4_address_is_refused_inside_ipv6(network: str, inside: str) -> None:
    for inner in (ipaddress.IPv4Network(network)[0], ipaddress.IPv4Network(network)[-1]):
        shift = 80 if inside == "2002::" else 0
        assert not guard.is_public(ipaddress.IPv6Address(int(ipaddress.IPv6Address(inside)) | int(inner) << shift))


@pytest.mark.parametrize("ip", METADATA.values(), ids=METADATA)
def test_metadata_services_are_refused(ip: str) -> None:
    assert not guard.is_public(ip)
    host = f"[{ip}]" if ":" in ip else ip
    assert addresses.is_private(f"http://{host}/latest/meta-data")


@pytest.mark.parametrize("ip", PUBLIC)
def test_hosts_of_the_internet_are_public(ip: str) -> None:
    assert guard.is_public(ip)


@pytest.mark.parametrize("ip", ["fe80::1%eth0", "2606:4700::1111%1", "::1%lo"])
def test_an_address_with_a_zone_is_refused(ip: str) -> None:
    assert not guard.is_public(ip)


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254", "169.254.169.254.", "169.254.43518", "169.16689662", "2852039166", "0xa9fea9fe",
        "0xA9.0xFE.0xA9.0xFE",
        "0251.0376.0251.0376", "025177524776", "0xa9.254.0251.254", "0xa9.16689662", "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]", "[0:0:0:0:0:ffff:a9fe:a9fe]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b::169.254.169.254]",
        "[::169.254.169.254]", "[2002:a9fe:a9fe::1]", "[2001:0:a9fe:a9fe::1]",
        "\uff11\uff16\uff19.\uff12\uff15\uff14.\uff11\uff16\uff19.\uff12\uff15\uff14",
        "\u2460\u2465\u2468.254.169.254", "169\u3002254\u3002169\u3002254", "169\uff0e254\uff0e169\uff0e254",
        "169\uff61254\uff61169\uff61254", "[fe80::1%25eth0]", "[fe80::1]", "[FD00:EC2::254]",
    ],
)  # fmt: skip
def test_the_early_check_knows_every_spelling(host: str) -> None:
    for address in (f"http://{host}/latest", f"https://{host}:8443/"):
        assert addresses.fault(address) is None
        assert addresses.is_private(address)


@pytest.mark.parametrize("host", ["8.8.8.8", "134744072", "0x08080808", "010.8.8.8", "8.8.2056", "[2606:4700::1111]"])
def test_public_literals_pass_in_every_spelling(host: str) -> None:
    assert not addresses.is_private(f"https://{host}/a.png")


@pytest.mark.parametrize(
    "host", ["example.com", "1e100.net", "0x7f.example.com", "127.0.0.1.nip.io", "1.2.3.4.5", "09.1", "a.b"]
)
def test_a_name_is_no_literal(host: str) -> None:
    assert guard.literal(host) is None
