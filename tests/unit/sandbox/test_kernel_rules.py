"""The parts of the kernel's rules that need no kernel: mounts, places, keys, records, and what is undeclared."""

import struct
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from appliance.sandbox.ebpf import events, mounts, reach, tables
from appliance.sandbox.ebpf.build import compile_rules
from appliance.sandbox.ebpf.errors import NoKernelRules
from appliance.sandbox.ebpf.record import MOST, Contact, Executed, Observed, Record, Refusal
from appliance.sandbox.ebpf.watched import Undeclared, findings

BESIDE_VERSION_1 = r"""proc /proc proc rw,nosuid 0 0
tmpfs /sys/fs/cgroup tmpfs rw,relatime,mode=755 0 0
cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0
cgroup2 /sys/fs/cgroup/uni\040fied cgroup2 rw,relatime 0 0
bpf /sys/fs/bpf bpf rw,nosuid,nodev,noexec,relatime,mode=700 0 0
"""
ALONE = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,nodev,noexec,relatime,nsdelegate 0 0\n"
IN_A_CONTAINER = "cgroup /sys/fs/cgroup cgroup2 ro,nosuid,nodev,noexec,relatime 0 0\n"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (BESIDE_VERSION_1, "/sys/fs/cgroup/uni fied"),
        (ALONE, "/sys/fs/cgroup"),
        (IN_A_CONTAINER, None),
        ("", None),
    ],
)
def test_the_mount_of_control_groups_is_found_wherever_it_is(text: str, place: str | None) -> None:
    found = mounts.mount_of("cgroup2", text)
    assert found == (None if place is None else Path(place))


def test_a_machine_without_the_mounts_is_told_what_to_do(tmp_path: Path) -> None:
    table = tmp_path / "mounts"
    table.write_text(IN_A_CONTAINER)
    with pytest.raises(NoKernelRules, match="no writable cgroup2") as error:
        mounts.cgroup2(table)
    assert "mount -t cgroup2" in error.value.said
    with pytest.raises(NoKernelRules, match="no bpf file system"):
        mounts.bpffs(table)
    with pytest.raises(NoKernelRules, match="cannot be read"):
        mounts.cgroup2(tmp_path / "none")


def test_a_machine_without_a_compiler_is_told_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoKernelRules) as error:
        compile_rules(tmp_path / "rules.o")
    assert "apt-get install clang" in error.value.said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("plc.lan", ("plc.lan", 0, True)),
        ("plc.lan:502", ("plc.lan", 502, True)),
        ("10.0.0.0/8:443", ("10.0.0.0/8", 443, False)),
        ("192.0.2.7", ("192.0.2.7/32", 0, False)),
        ("2001:db8::1", ("2001:db8::1/128", 0, False)),
        ("[2001:db8::/32]:53", ("2001:db8::/32", 53, False)),
        (" localhost ", ("localhost", 0, True)),
    ],
)
def test_a_place_is_read_as_it_is_usually_written(text: str, entry: tuple[str, int, bool]) -> None:
    assert reach.parse(text) == reach.Entry(*entry)


@pytest.mark.parametrize(
    "text",
    ["", "a b", "10.0.0.1/8", "10.0.0", "host:0", "host:65536", "host:http", "http://x", "-x", "[::1]x"],
)
def test_what_is_no_place_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(ValueError, match="expected host, host:port"):
        reach.parse(text)


async def test_names_mean_their_addresses_now_and_then_the_resolvers_too(tmp_path: Path) -> None:
    resolvers = tmp_path / "resolv.conf"
    resolvers.write_text(
        "# ours\nnameserver 192.0.2.53\nnameserver fe80::1%eth0\nnameserver bad\noptions x\n"
    )
    found = await reach.places(["localhost:80", "10.0.0.0/8"], resolvers)
    assert found is not None
    assert {("10.0.0.0/8", 0), ("127.0.0.1", 80), ("192.0.2.53", 53), ("fe80::1", 53)} <= set(found)
    assert await reach.places(["10.0.0.0/8"], resolvers) == (("10.0.0.0/8", 0),)
    assert await reach.places([], resolvers) == ()
    assert await reach.places(["any"], resolvers) is None


def test_both_writings_of_an_address_of_version_4_have_one_key() -> None:
    four = tables.destination(9, tables.Destination(ip_network("192.0.2.0/24"), 443))
    mapped = tables.destination(9, tables.Destination(ip_network("::ffff:192.0.2.0/120"), 443))
    assert four == mapped
    assert tables.cgroup_of_destination(four) == 9


def told(
    kind: events.Kind, *, address: str = "::", port: int = 0, name: str = "", **more: int
) -> events.Event:
    """As the kernel writes it."""
    data = struct.pack(
        "=QIBBBB2sHI16s256s", 7, 42, kind, more.get("hook", 0), more.get("denied", 0), more.get("protocol", 6),
        port.to_bytes(2, "big"), more.get("family", 0), more.get("code", 0), ip_address(address).packed,
        name.encode(),
    )  # fmt: skip
    return events.parse(data + bytes(4))


def test_an_event_is_read_as_the_kernel_writes_it() -> None:
    event = told(events.Kind.CONTACT, address="::ffff:192.0.2.1", port=443, hook=1, denied=1)
    assert (str(event.address), event.port, event.denied, event.protocol_name) == (
        "192.0.2.1",
        443,
        True,
        "tcp",
    )
    assert told(events.Kind.EXEC, name="/bin/é").name == "/bin/é"


def test_a_record_is_bounded_and_says_what_it_left_out() -> None:
    record = Record()
    for number in range(MOST + 5):
        record.take(told(events.Kind.EXEC, name=f"/bin/{number}"))
    record.take(told(events.Kind.EXEC, name="/bin/0"))
    observed = record.observed(lost=3)
    assert len(observed.executed) == MOST
    assert observed.executed[0] == Executed(path="/bin/0", count=2)
    assert (observed.more, observed.lost) == (5, 3)


def test_the_first_packet_of_a_connection_is_told_once_and_one_without_a_connect_is_told() -> None:
    record = Record()
    for hook in (1, 3):
        record.take(told(events.Kind.CONTACT, address="2001:db8::1", port=80, hook=hook))
    record.take(told(events.Kind.CONTACT, address="2001:db8::2", port=80, hook=3))
    assert [(one.address, one.by) for one in record.observed().contacts] == [
        ("2001:db8::1", "connect"),
        ("2001:db8::2", "egress"),
    ]


def contact(address: str = "192.0.2.1", *, denied: bool = False) -> Contact:
    return Contact(address=address, port=80, protocol="tcp", by="connect", denied=denied, count=1)


BUSY = Observed(
    executed=(Executed(path="/bin/sh", count=1), Executed(path="/usr/bin/curl", count=1)),
    contacts=(contact(), contact("2001:db8::1", denied=True)),
    refusals=(Refusal(what="raw socket", count=2),),
    lost=4,
)
COMMAND = ("/bin/sh", "/bin/sh")


def test_who_declares_nothing_is_compared_with_nothing() -> None:
    assert findings(BUSY, None, None, COMMAND) == ()


def test_what_was_denied_is_undeclared_and_what_was_allowed_is_not() -> None:
    assert findings(BUSY, ("192.0.2.1",), None, COMMAND) == (
        "reached for [2001:db8::1]:80 (tcp): denied",
        "raw socket: refused",
        "4 more that were not recorded",
    )


def test_a_program_is_declared_by_name_or_by_path() -> None:
    quiet = BUSY.model_copy(update={"lost": 0})
    assert findings(quiet, None, (), COMMAND) == ("executed /usr/bin/curl",)
    assert findings(quiet, None, ("/opt/curl",), COMMAND) == ("executed /usr/bin/curl",)
    for declared in ("curl", "/usr/bin/curl"):
        assert findings(quiet, None, (declared,), COMMAND) == ()
    disguised = Observed(executed=(Executed(path="/job/curl", count=1), Executed(path="./curl", count=1)))
    assert findings(disguised, None, ("curl",), COMMAND) == ("executed /job/curl", "executed ./curl")
    beside = Observed(executed=(Executed(path="curl", count=1),))
    assert findings(beside, None, ("curl",), COMMAND) == ("executed curl",)


def test_the_settings_can_have_every_address_of_the_silent_marked() -> None:
    found = findings(BUSY, None, None, COMMAND, Undeclared.AMBER)
    assert "reached for 192.0.2.1:80 (tcp)" in found
    assert "reached for 192.0.2.1:80 (tcp)" not in findings(BUSY, None, None, COMMAND, Undeclared.DENY)
    assert "reached for 192.0.2.1:80 (tcp)" not in findings(BUSY, ("any",), None, COMMAND, Undeclared.AMBER)
