"""What is written for a container, and what is read of it, without an engine."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.sandbox.docker.blueprint import Blueprint, Device, Image, creation
from appliance.sandbox.docker.entry import Ending, Frames, script
from appliance.sandbox.docker.mounts import Allowed, close
from appliance.sandbox.docker.request import JobLimits
from appliance.sandbox.docker.templates import TEMPLATES
from appliance.sandbox.process.request import Refused

LIMITS = JobLimits(memory=1 << 40, processes=60000, open_files=1 << 20, file_bytes=1 << 50, cpu_seconds=None)
MARK = "0123456789abcdef"
words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)


@given(st.lists(words, min_size=1, max_size=4), words)
def test_no_value_is_ever_read_as_the_shells_own_text(values: list[str], variable: str) -> None:
    program = ("/bin/sh", "-c", 'printf "%s\\0" "$X" "$@"', "sh", *values)
    text = script(program, {"X": variable}, MARK).replace(b"read -r n\n", b"")
    done = subprocess.run(["/bin/sh"], input=text, capture_output=True, timeout=20)
    ending = Ending(MARK)
    assert ending.feed(done.stdout) == "".join(f"{value}\0" for value in (variable, *values)).encode()
    assert ending.status == 0


@given(st.binary(max_size=80), st.binary(max_size=20), st.integers(1, 7))
def test_the_end_is_found_however_the_stream_is_cut(before: bytes, after: bytes, size: int) -> None:
    whole = before + b"\x1e" + MARK.encode() + b" 7 2 4096 1000000000 0\n" + after
    ending, said = Ending(MARK), b""
    for start in range(0, len(whole), size):
        said += ending.feed(whole[start : start + size])
    assert said == before + after
    assert (ending.status, ending.left, ending.used.user_seconds) == (7, 2, 1.0)


def test_what_looks_like_the_end_and_is_not_comes_through() -> None:
    ending = Ending(MARK)
    text = b"\x1e" + MARK[:9].encode() + b"? \x1e\x1e"
    assert ending.feed(text) + ending.rest() == text
    assert ending.status is None


def test_streams_are_told_apart_however_they_are_cut() -> None:
    whole = b"\x01\0\0\0\0\0\0\x02ab\x02\0\0\0\0\0\0\x01c\x00\0\0\0\0\0\0\x01x\x01\0\0\0\0\0\0\x00"
    frames = Frames()
    found = [piece for byte in whole for piece in frames.feed(bytes([byte]))]
    assert found == [("stdout", b"ab"), ("stderr", b"c"), ("stdout", b"")]


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=lambda one: one.name)
def test_no_template_gives_what_would_be_a_way_out(template: object) -> None:
    chosen = next(one for one in TEMPLATES.values() if one is template)
    image = Image("sha256:0", ("/data",))
    devices = (Device("/dev/ttyS0", 20),) if chosen.devices else ()
    blueprint = Blueprint(chosen, image, chosen.cap(LIMITS), 61000, 61000, "none", devices)
    body = creation(blueprint, {})
    host = body["HostConfig"]
    assert isinstance(host, dict)
    assert host["Privileged"] is False
    assert (host["CapDrop"], host["CapAdd"]) == (["ALL"], [])
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert (host["PidMode"], host["UTSMode"], host["UsernsMode"], host["IpcMode"]) == ("", "", "", "private")
    assert host["Memory"] == host["MemorySwap"] <= 16 << 30
    assert host["PidsLimit"] <= 4096
    assert body["User"] == "61000:61000"
    assert set(host["Tmpfs"]) == {"/job", "/tmp", "/data"}
    assert all("nosuid,nodev" in options and "size=" in options for options in host["Tmpfs"].values())
    assert host["ReadonlyRootfs"] is (chosen.name != "trusted")
    assert "Binds" not in host


def test_only_named_folders_open_and_never_the_forbidden_ones_within(tmp_path: Path) -> None:
    base = Path("/var/tmp") / f"mw-mounts-{tmp_path.name}"
    home = base / "read" / "home"
    home.mkdir(parents=True, exist_ok=True)
    (base / "write").mkdir(exist_ok=True)
    try:
        allowed = Allowed([base / "read"], [base / "write"], [home])
        opened = allowed.open([], [str(base / "write")])
        assert [(mount.source, mount.writable) for mount in opened] == [(str(base / "write"), True)]
        close(opened)
        (base / "write" / "out").symlink_to("/etc")
        for reads, writes in (
            ([str(base / "read")], []),
            ([str(home)], []),
            ([], [str(base / "read")]),
            ([], [str(base / "write" / "out")]),
            ([str(base)], []),
            (["/etc"], []),
            ([str(base / "write" / "none")], []),
        ):
            with pytest.raises(Refused):
                allowed.open(reads, writes)
    finally:
        subprocess.run(["rm", "-rf", str(base)], check=True)
