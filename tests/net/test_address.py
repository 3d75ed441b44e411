"""Only public hosts are reached, in whatever form an address is written."""

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitalk.errors import RequestError, SourceRefused, SourceUnreachable
from multitalk.net.address import checked_addresses, is_allowed
from multitalk.settings import LOOPBACK, Settings

PUBLIC = ["93.184.215.14", "8.8.8.8", "1.1.1.1", "172.15.0.1", "172.32.0.1", "100.63.255.255"]
PUBLIC_V6 = [
    "2606:2800:220:1:248:1893:25c8:1946",
    "2a00:1450:4001:80b::200e",
    "64:ff9b::808:808",
    "::ffff:8.8.8.8",
]
NOT_PUBLIC = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.255",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
]
NOT_PUBLIC_V6 = [
    "::",
    "::1",
    "::127.0.0.1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::1",
    "3fff::1",
    "5f00::1",
    "64:ff9b:1::1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::7f00:1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "::ffff:169.254.169.254",
    "::ffff:0:10.0.0.1",
]


def look_up(host, *answers, networks=()):
    return checked_addresses(
        host,
        443,
        field="image_path",
        resolve=lambda name, port: answers,
        networks=networks,
    )


@pytest.mark.parametrize("address", PUBLIC + PUBLIC_V6)
def test_public_addresses_are_reached_by_number_and_by_name(address):
    expected = (ipaddress.ip_address(address),)
    assert look_up(address) == expected
    assert look_up("example.com", address) == expected


@pytest.mark.parametrize("address", NOT_PUBLIC + NOT_PUBLIC_V6)
def test_no_other_address_is_reached_by_number_or_by_name(address):
    for host, *answers in [(address,), ("example.com", address), ("a.b", "8.8.8.8", address)]:
        with pytest.raises(SourceRefused, match=r"^image_path: "):
            look_up(host, *answers)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_ipv4_address_inside_an_ipv6_address_is_checked_as_itself(address):
    number = int(ipaddress.IPv4Address(address))
    for prefix in ("::ffff:0:0", "64:ff9b::"):
        carrier = ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) + number)
        assert not is_allowed(carrier, ())


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "017700000001",
        "0x7f000001",
        "0x7f.0.0.1",
        "0x7f.1",
        "127.1",
        "0177.0.0.1",
        "127.0.0.01",
        "127.0.0.1.",
        "8.8.8",
        "8.8.8.8.8",
        "256.1.1.1",
        "1.2.3.0x4",
        "0x",
        "1.2.3.4%eth0",
        "::1%lo",
        "[::1]",
        ":",
        "1:2",
        "::ffff:127.1",
    ],
)
def test_odd_forms_of_an_address_are_refused_before_any_lookup(host):
    def resolve(name, port):
        raise AssertionError("looked up")

    with pytest.raises(SourceRefused):
        checked_addresses(host, 80, field="f", resolve=resolve, networks=())


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST.", "a.localhost", "localhost.localdomain"]
)
def test_names_of_this_machine_are_refused_whatever_they_resolve_to(host):
    with pytest.raises(SourceRefused, match="not a public address"):
        look_up(host, "8.8.8.8")


NO_NAMES = ["", ".", "a..b", ".a", "-a.com", "a-.com", "a b", "a/b", "a@b", "ａ.com", "*.com"]


@pytest.mark.parametrize("host", [*NO_NAMES, "a" * 64, "x." * 127 + "com", "가.com", "a\0b"])
def test_an_invalid_host_name_is_refused(host):
    with pytest.raises(SourceRefused, match="is not a host's name"):
        look_up(host, "8.8.8.8")


@pytest.mark.parametrize("host", ["xn--9d0b.com", "a_b.example.com", "EXAMPLE.com.", "1a.com", "a"])
def test_ordinary_names_are_looked_up(host):
    assert look_up(host, "8.8.8.8") == (ipaddress.ip_address("8.8.8.8"),)


def test_the_order_of_a_resolver_is_kept_and_doubles_are_dropped():
    found = look_up("a.com", "8.8.8.8", "1.1.1.1", "8.8.8.8")
    assert [str(address) for address in found] == ["8.8.8.8", "1.1.1.1"]


def test_loopback_is_reached_only_where_the_operator_allows_it():
    for host, *answers in [("127.0.0.1",), ("::1",), ("localhost", "127.0.0.1"), ("a", "::1")]:
        assert look_up(host, *answers, networks=LOOPBACK)
        with pytest.raises(SourceRefused):
            look_up(host, *answers)


def test_allowing_loopback_allows_nothing_else():
    for address in NOT_PUBLIC + NOT_PUBLIC_V6:
        if not address.startswith("127.") and address not in ("::1", "64:ff9b::7f00:1"):
            with pytest.raises(SourceRefused):
                look_up("a.com", address, networks=LOOPBACK)


def networks(text):
    return Settings.from_env({"MULTITALK_ALLOWED_NETWORKS": text}).reachable_networks


@pytest.mark.parametrize(
    ("allowed", "reached", "refused"),
    [
        ("10.0.0.0/8", ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::a01:203"], ["192.168.1.1"]),
        ("192.168.1.0/24, fd12::/16", ["192.168.1.9", "fd12::7"], ["192.168.2.1", "fd13::7"]),
        ("192.168.1.7", ["192.168.1.7"], ["192.168.1.6", "127.0.0.1"]),
        ("127.0.0.0/8", ["127.0.0.1"], ["::1", "10.0.0.1"]),
        ("fe80::/10", ["fe80::1"], ["169.254.1.1"]),
    ],
)
def test_networks_are_reached_that_the_operator_allows_and_no_others(allowed, reached, refused):
    for address in reached:
        for host, *answers in [(address,), ("nas.lan", address), ("a.b", "8.8.8.8", address)]:
            assert look_up(host, *answers, networks=networks(allowed))
    for address in refused:
        for host, *answers in [(address,), ("nas.lan", address), ("a.b", *reached[:1], address)]:
            with pytest.raises(SourceRefused):
                look_up(host, *answers, networks=networks(allowed))


@pytest.mark.parametrize(
    "service",
    [
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "169.254.170.2",
        "168.63.129.16",
        "100.100.100.200",
        "fd00:ec2::254",
        "fd20:ce::254",
    ],
)
def test_a_service_that_gives_out_secrets_is_reached_only_if_itself_is_named(service):
    carried = getattr(ipaddress.ip_address(service), "ipv4_mapped", None) or service
    carried = "169.254.169.254" if service.startswith("64:") else carried
    for around in ("0.0.0.0/0, ::/0", "169.254.0.0/16, 100.64.0.0/10, fd00::/8", "10.0.0.0/8"):
        for host, *answers in [(service,), ("metadata.google.internal", service)]:
            with pytest.raises(SourceRefused):
                look_up(host, *answers, networks=networks(around))
    assert look_up(service, networks=networks(str(carried)))


@pytest.mark.parametrize(
    ("host", "answer", "setting"),
    [
        ("127.0.0.1", None, "MULTITALK_ALLOW_LOOPBACK=true"),
        ("::1", None, "MULTITALK_ALLOW_LOOPBACK=true"),
        ("::ffff:127.0.0.1", None, "MULTITALK_ALLOW_LOOPBACK=true"),
        ("localhost", "127.0.0.1", "MULTITALK_ALLOW_LOOPBACK=true"),
        ("192.168.1.7", None, "MULTITALK_ALLOWED_NETWORKS"),
        ("nas.lan", "192.168.1.7", "MULTITALK_ALLOWED_NETWORKS"),
    ],
)
def test_a_refusal_names_the_setting_that_allows_it(host, answer, setting):
    with pytest.raises(SourceRefused) as caught:
        look_up(host, *([answer] if answer else []))
    for locale in ("en", "ko"):
        assert setting in caught.value.text(locale)


def test_a_refusal_does_not_tell_where_a_name_leads():
    said = set()
    for address in ("127.0.0.1", "10.0.0.1", "169.254.169.254"):
        with pytest.raises(SourceRefused) as caught:
            look_up("inside.example", address)
        said.add(str(caught.value))
    assert len(said) == 1


@pytest.mark.parametrize("error", [socket.gaierror(-2, "unknown"), UnicodeError("bad label")])
def test_a_failed_lookup_is_reported(error):
    def resolve(name, port):
        raise error

    with pytest.raises(SourceUnreachable, match=r"^f: a\.com has no address"):
        checked_addresses("a.com", 80, field="f", resolve=resolve, networks=())


@pytest.mark.parametrize("answers", [[], ["not an address"]])
def test_a_lookup_without_an_address_is_reported(answers):
    with pytest.raises(SourceUnreachable, match="has no address"):
        look_up("a.com", *answers)


def test_a_long_host_is_shown_short():
    with pytest.raises(SourceRefused) as caught:
        look_up("a" * 5000)
    assert len(str(caught.value)) < 250


@given(st.ip_addresses())
def test_allowed_addresses_are_global_for_python_too(address):
    if is_allowed(address, ()):
        carried = getattr(address, "ipv4_mapped", None)
        assert (carried or address).is_global
        assert not address.is_multicast


@given(st.ip_addresses(v=4))
def test_what_python_calls_global_ipv4_is_allowed_but_for_the_known_exceptions(address):
    exceptions = (
        "192.0.0.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.175.48.0/24",
        "192.88.99.0/24",
    )
    known = any(address in ipaddress.ip_network(network) for network in exceptions)
    if address.is_global and not address.is_multicast and not known:
        assert is_allowed(address, ()) or str(address) == "168.63.129.16"


@given(st.text(max_size=80))
def test_any_host_is_an_address_or_refused(host):
    try:
        found = look_up(host, "8.8.8.8")
    except RequestError:
        return
    assert all(is_allowed(address, ()) for address in found)
