"""The door of the spawner lets nothing through that it does not understand."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.sandbox.process.options import UsageError, parse
from appliance.sandbox.process.request import Refused, parse_request

GOOD: dict[str, Any] = {
    "argv": ["echo", "x\udcff"],
    "workdir": None,
    "env": {"A_1": "b"},
    "timeout": 1.5,
    "reads": ["/srv"],
    "writes": [],
    "output_limit": 100,
    "limits": {"memory": 1 << 20, "processes": 1, "open_files": 16, "file_bytes": 0, "cpu_seconds": None},
    "live": False,
    "checkpoint": None,
    "pins": {},
    "executable": "",
    "cgroup": "",
    "files": {},
}


def changed(**values: object) -> bytes:
    return json.dumps(GOOD | values).encode()


def test_a_good_job_passes_unchanged() -> None:
    request = parse_request(changed())
    assert request.argv == ["echo", "x\udcff"]
    assert request.env == {"A_1": "b"}
    assert (request.timeout, request.output_limit, request.live) == (1.5, 100, False)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        changed(more=1),
        changed(executable="echo"),
        changed(pins=[]),
        changed(pins={"bin/ls": ["0", []]}),
        changed(pins={"/bin/ls": "0"}),
        changed(pins={"/bin/ls": [0, []]}),
        changed(pins={f"/bin/{n}": ["0", []] for n in range(200)}),
        changed(argv="ls"),
        changed(argv=[1]),
        changed(argv=[]),
        changed(argv=["a\0"]),
        changed(argv=["\ud800"]),
        changed(env=[]),
        changed(env={"": "x"}),
        changed(env={"A": 1}),
        changed(env={"9A": "x"}),
        changed(env={"Ä": "x"}),
        changed(timeout=True),
        changed(timeout="1"),
        changed(timeout=0),
        changed(timeout=1e9),
        changed(timeout=float("inf")),
        changed(workdir="here"),
        changed(workdir=1),
        changed(reads=["../x"]),
        changed(writes="/x"),
        changed(reads=["/x"] * 65),
        changed(output_limit=-1),
        changed(output_limit=1.5),
        changed(output_limit=True),
        changed(output_limit=1 << 30),
        changed(limits={}),
        changed(limits=GOOD["limits"] | {"memory": None}),
        changed(limits=GOOD["limits"] | {"more": 1}),
        changed(limits=GOOD["limits"] | {"cpu_seconds": 0}),
    ],
    ids=str,
)
def test_a_bad_job_is_refused_with_a_sentence(raw: bytes) -> None:
    with pytest.raises(Refused) as refusal:
        parse_request(raw)
    assert refusal.value.message.endswith(".")


@given(st.binary(max_size=200))
def test_noise_is_refused_and_nothing_worse(raw: bytes) -> None:
    with pytest.raises(Refused):
        parse_request(raw)


@pytest.mark.parametrize(
    "arguments", [["--socket", "/s"], ["--home", "/h"], ["--socket", "", "--home", "/h"]]
)
def test_socket_and_home_are_needed(arguments: list[str]) -> None:
    with pytest.raises(UsageError, match="is needed"):
        parse(arguments)


def test_two_sockets_never_share_a_spool() -> None:
    uid = ["--uid", "61017"]
    try:
        spools = {parse(["--socket", f"/run/{name}.sock", "--home", "/h", *uid]).spool for name in "ab"}
    except UsageError:  # not root: no other user can be asked for
        spools = {parse(["--socket", f"/run/{name}.sock", "--home", "/h"]).spool for name in "ab"}
    assert len(spools) == 2
