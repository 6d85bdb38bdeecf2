"""The system call filter, run here by a small interpreter of its instructions."""

import errno
import struct

import pytest

from appliance.sandbox.process.seccomp import _ARCHITECTURES, _METADATA_EVERYWHERE, Architecture, build

ALLOW = 0x7FFF0000


def decide(program: bytes, audit: int, number: int, first_argument: int = 0, second_argument: int = 0) -> int:
    """What the kernel would answer: 0 for allowed, else the error number."""
    data = struct.pack("=IIQQQ", number, audit, 0, first_argument, second_argument)
    instructions = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    value, at = 0, 0
    while True:
        code, if_true, if_false, operand = instructions[at]
        at += 1
        match code:
            case 0x20:
                (value,) = struct.unpack_from("=I", data, operand)
            case 0x05:
                at += operand
            case 0x15:
                at += if_true if value == operand else if_false
            case 0x35:
                at += if_true if value >= operand else if_false
            case 0x45:
                at += if_true if value & operand else if_false
            case 0x06:
                return 0 if operand == ALLOW else operand & 0xFFFF
            case _:
                raise AssertionError(f"unknown instruction {code:#x}")


@pytest.fixture(params=list(_ARCHITECTURES.values()), ids=list(_ARCHITECTURES))
def machine(request: pytest.FixtureRequest) -> Architecture:
    assert isinstance(request.param, Architecture)
    return request.param


def test_every_listed_call_is_refused_and_others_pass(machine: Architecture) -> None:
    program = build(machine, unix_sockets=False, keep_truncate=True)
    for name, number in machine.refused.items():
        assert decide(program, machine.audit, number) == errno.EPERM, name
    ordinary = set(range(450)) - set(machine.refused.values()) - set(range(425, 443)) - {machine.socket}
    assert all(decide(program, machine.audit, number) == 0 for number in ordinary)


def test_the_list_cannot_be_bypassed_by_another_numbering(machine: Architecture) -> None:
    program = build(machine, unix_sockets=False, keep_truncate=True)
    assert decide(program, 0x40000003, 11) == errno.ENOSYS  # a 32-bit call
    if machine.x32:
        assert decide(program, machine.audit, 0x40000000 | 101) == errno.ENOSYS


def test_processes_can_be_made_but_no_namespaces(machine: Architecture) -> None:
    program = build(machine, unix_sockets=False, keep_truncate=True)
    assert decide(program, machine.audit, machine.clone, 0x1200011) == 0  # fork
    assert decide(program, machine.audit, machine.clone, 0x3D0F00) == 0  # a thread
    for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert decide(program, machine.audit, machine.clone, flag | 17) == errno.EPERM
    assert decide(program, machine.audit, 435) == errno.ENOSYS  # clone3: its flags cannot be read here


@pytest.mark.parametrize(
    ("family", "declared", "answer"),
    [
        (2, False, 0),
        (10, False, 0),
        (16, False, 0),
        (1, False, errno.EPERM),
        (1, True, 0),
        (17, True, errno.EPERM),
        (38, True, errno.EPERM),
        (40, True, errno.EPERM),
    ],
)
def test_sockets_of_listed_families_only(
    machine: Architecture, family: int, declared: bool, answer: int
) -> None:
    program = build(machine, unix_sockets=declared, keep_truncate=True)
    assert decide(program, machine.audit, machine.socket, family) == answer


def test_truncate_is_refused_where_landlock_does_not_guard_it(machine: Architecture) -> None:
    assert (
        decide(build(machine, unix_sockets=False, keep_truncate=True), machine.audit, machine.truncate) == 0
    )
    program = build(machine, unix_sockets=False, keep_truncate=False)
    assert decide(program, machine.audit, machine.truncate) == errno.EPERM


def test_metadata_is_changed_of_open_files_only_where_paths_are_not_to_be_trusted(
    machine: Architecture,
) -> None:
    lax = build(machine, unix_sockets=True, keep_truncate=True)
    strict = build(machine, unix_sockets=True, keep_truncate=True, keep_metadata=False)
    for name, number in {**machine.metadata, **_METADATA_EVERYWHERE}.items():
        assert decide(lax, machine.audit, number) == 0, name
        assert decide(strict, machine.audit, number) == errno.EPERM, name
    for path in (1, 1 << 32, 0x7FFE_0000_0000):
        assert decide(lax, machine.audit, machine.utimensat, 3, path) == 0
        assert decide(strict, machine.audit, machine.utimensat, 3, path) == errno.EPERM
    assert decide(strict, machine.audit, machine.utimensat, 3, 0) == 0  # without a path: of an open file
    assert decide(strict, machine.audit, machine.socket, 1) == 0
    assert decide(strict, machine.audit, machine.clone, 0x1200011) == 0
