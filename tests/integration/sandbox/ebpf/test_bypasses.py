"""Each known way around a rule on connect, tried from inside: first where all is allowed, so that it is known to work.

What counts is what arrives at the other side, in a network namespace of the test's own.
"""

import json
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from ipaddress import ip_network

import pytest

from appliance.sandbox.ebpf.record import Observed
from appliance.sandbox.ebpf.rules import KernelRules, Wanted
from appliance.sandbox.ebpf.tables import Destination
from tests.integration.sandbox.ebpf import attempts
from tests.kernel_rules import clear, need_rules

NEAR = [Destination(ip_network("192.0.2.0/24")), Destination(ip_network("2001:db8:1::/48"), attempts.PORT)]
FAR = [way for way in attempts.WAYS if not way.endswith("_near")]
ABSENT = {"ENOSYS", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT", "EAFNOSUPPORT", "ENOPROTOOPT"}


def attempt(rules: KernelRules, wanted: Wanted, *ways: str) -> tuple[dict[str, tuple[str, int]], Observed]:
    """For each way what the one who tried was told, and how much arrived; and the kernel's record."""
    watch = rules.begin(wanted)
    command = ["unshare", "-n", sys.executable, attempts.__file__, str(watch.folder), *ways]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        observed = rules.end(watch)
    assert done.returncode == 0, done.stderr
    return {way: (told, arrived) for way, (told, arrived) in json.loads(done.stdout).items()}, observed


@pytest.fixture(scope="module")
def outcomes() -> Iterator[list[dict[str, tuple[str, int]]]]:
    """Of each way: where all is allowed, nothing is, and only others are."""
    need_rules()
    name = f"test{secrets.token_hex(4)}"
    rules = KernelRules(name, time.monotonic)
    yield [attempt(rules, wanted, *FAR)[0] for wanted in (Wanted(), Wanted([]), Wanted(NEAR))]
    rules.close()
    clear(name)


@pytest.mark.parametrize("way", FAR)
def test_no_way_leads_to_where_a_job_may_not_go(outcomes: list[dict[str, tuple[str, int]]], way: str) -> None:
    (freely, arrived), *limited = (outcome[way] for outcome in outcomes)
    if freely in ABSENT or (way == "io_uring" and freely == "EPERM"):
        pytest.skip(f"this kernel does not do {way} at all: {freely}")
    assert arrived, f"{way} leads nowhere even when all is allowed: {freely}"
    assert limited == [("EPERM", 0), ("EPERM", 0)]


def test_what_is_denied_is_recorded(rules: KernelRules) -> None:
    _, observed = attempt(rules, Wanted([]), "tcp_mapped", "raw", "ping")
    assert [(one.where, one.protocol, one.denied) for one in observed.contacts] == [
        (f"{attempts.FAR4}:{attempts.PORT}", "tcp", True),
        (attempts.FAR4, "icmp", True),
    ]
    assert [one.what for one in observed.refusals] == ["raw socket for udp"]


def test_what_is_allowed_is_reached_by_either_writing_of_its_address(rules: KernelRules) -> None:
    near = [way for way in attempts.WAYS if way.endswith("_near")]
    told, observed = attempt(rules, Wanted(NEAR), *near)
    assert all(arrived for _, arrived in told.values()), told
    assert not any(one.denied for one in observed.contacts)
    assert {one.address for one in observed.contacts} == {attempts.NEAR4, attempts.NEAR6}


def test_a_port_is_part_of_what_is_allowed(rules: KernelRules) -> None:
    other = [Destination(ip_network(attempts.NEAR4), attempts.PORT + 1)]
    assert attempt(rules, Wanted(other), "tcp_near")[0]["tcp_near"] == ("EPERM", 0)
    same = [Destination(ip_network(attempts.NEAR4), attempts.PORT)]
    assert attempt(rules, Wanted(same), "tcp_near")[0]["tcp_near"] == ("done", 1)


def test_a_job_is_told_apart_from_the_one_beside_it(rules: KernelRules) -> None:
    beside = rules.begin(Wanted())
    assert attempt(rules, Wanted([]), "tcp")[0]["tcp"] == ("EPERM", 0)
    rules.end(beside)


def test_a_connection_that_no_hook_on_connect_sees_is_recorded_by_its_first_packet(
    rules: KernelRules,
) -> None:
    _, observed = attempt(rules, Wanted(), "raw6")
    assert [(one.address, one.by) for one in observed.contacts] == [(attempts.FAR6, "egress")]
