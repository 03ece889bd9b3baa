import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankserve_client.targets import is_local, parse_target


@pytest.mark.parametrize(
    ("target", "uri"),
    [
        ("127.0.0.1:50051", "127.0.0.1:50051"),
        ("ranking.example:443", "ranking.example:443"),
        ("[::1]:50051", "[::1]:50051"),
        ("dns:///ranking.example:443", "dns:///ranking.example:443"),
        ("ipv4:10.0.0.1:1,10.0.0.2:2", "ipv4:10.0.0.1:1,10.0.0.2:2"),
        ("unix:/run/rankserve.sock", "unix:/run/rankserve.sock"),
        (["ranking.example:443"], "ranking.example:443"),
        (["10.0.0.1:1", "10.0.0.2:2"], "ipv4:10.0.0.1:1,10.0.0.2:2"),
        (["10.0.0.1:1", "10.0.0.1:1", "10.0.0.2:2"], "ipv4:10.0.0.1:1,10.0.0.2:2"),
        (("[::1]:1", "[fe80::2]:2"), "ipv6:[::1]:1,[fe80::2]:2"),
        (["[fe80::2%eth0]:2", "[::1]:1"], "ipv6:[fe80::2%25eth0]:2,[::1]:1"),
        (["10.0.0.1:1", "[::1]:2"], "ipv6:[::ffff:10.0.0.1]:1,[::1]:2"),
        (["unix:/a.sock", "unix:///b.sock"], "unix:/a.sock,/b.sock"),
    ],
)
def test_addresses_become_one_uri(target: str | list[str], uri: str) -> None:
    assert parse_target(target).uri == uri


@pytest.mark.parametrize(
    "target",
    [
        "",
        "localhost",
        "50051",
        ":50051",
        "127.0.0.1:",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:port",
        "::1:50051",
        "[127.0.0.1]:50051",
        "[nonsense]:50051",
        "http://127.0.0.1:50051",
        "xds:///ranking",
        "a:1,b:2",
        "unix:",
        "dns:///",
        "ipv4:127.0.0.1",
        "ipv4:[::1]:1",
        "ipv6:127.0.0.1:1",
        b"127.0.0.1:50051",
        42,
        [],
        [42],
        ["127.0.0.1:1", "127.0.0.1"],
    ],
)
def test_what_grpc_cannot_use_is_refused(target: str) -> None:
    with pytest.raises(ValueError, match="`target`"):
        parse_target(target)


@pytest.mark.parametrize(
    "targets",
    [["one.example:1", "two.example:2"], ["10.0.0.1:1", "localhost:2"], ["unix:/a.sock", "10.0.0.1:1"]],
)
def test_several_host_names_are_refused_with_a_way_out(targets: list[str]) -> None:
    with pytest.raises(ValueError, match="give one name that resolves to all of the servers"):
        parse_target(targets)


def test_the_name_is_what_was_given() -> None:
    assert parse_target(["10.0.0.1:1", "[::1]:2"]).name == "10.0.0.1:1, [::1]:2"


@pytest.mark.parametrize(
    ("name", "local"),
    [
        ("127.0.0.1:50051", True),
        ("localhost:1, [::1]:2", True),
        ("unix:/a.sock", True),
        ("10.0.0.1:1", False),
        ("localhost:1, 10.0.0.1:1", False),
        ("localhost.example:1", False),
    ],
)
def test_knows_its_own_machine(name: str, local: bool) -> None:
    assert is_local(name) is local


@given(
    st.lists(st.tuples(st.ip_addresses(), st.integers(1, 65535)), min_size=2, unique=True),
)
def test_every_list_of_ip_addresses_has_one_uri(addresses: list[tuple[object, int]]) -> None:
    texts = [f"[{ip}]:{port}" if ":" in str(ip) else f"{ip}:{port}" for ip, port in addresses]
    uri = parse_target(texts).uri
    assert uri.startswith(("ipv4:", "ipv6:"))
    assert [part.rpartition(":")[2] for part in uri.split(",")] == [str(port) for _, port in addresses]
    assert parse_target(uri).uri == uri
