"""What the doctor says of accelerators that are there and cannot be used."""

import json
import socket
import threading
from pathlib import Path

from appliance.inference.hardware import cdi, checks, permission
from appliance.inference.hardware.detecting import look
from appliance.inference.hardware.domain import Hardware
from appliance.lib.doctor import Found, Outcome
from tests.unit.inference.hardware.machines import CDI_NVIDIA, TWO_GPUS, Machine

GPUS = ("GPU-11111111-aaaa-bbbb-cccc-000000000001", "GPU-22222222-aaaa-bbbb-cccc-000000000002")


def all_of(hardware: Hardware, shut: tuple[str, ...] = (), told: object = None) -> list[Outcome]:
    found: list[Found] = [
        checks.usable(hardware, shut),
        checks.files(hardware, shut),
        checks.for_containers(hardware),
        checks.engine_knows(hardware, told),
    ]
    return [one.outcome for one in found]


def two(machine: Machine) -> Machine:
    machine.nvidia("0000:01:00.0", 0, GPUS[0], "NVIDIA GeForce RTX 4090")
    return machine.nvidia("0000:41:00.0", 1, GPUS[1], "NVIDIA RTX A2000 12GB").smi(TWO_GPUS)


def test_a_machine_without_accelerators_has_nothing_to_complain_of(machine: Machine) -> None:
    assert set(all_of(look(machine.roots))) == {Outcome.ABSENT}


def test_gpus_that_containers_cannot_be_given_are_a_problem_until_they_have_names(machine: Machine) -> None:
    two(machine)
    old, new = {"ServerVersion": "20.10.24"}, {"CDISpecDirs": ["/etc/cdi", "/var/run/cdi"]}

    assert all_of(look(machine.roots), told=old) == [
        Outcome.GOOD, Outcome.GOOD, Outcome.PROBLEM, Outcome.PROBLEM,
    ]  # fmt: skip
    machine.write("run/cdi/nvidia.yaml", CDI_NVIDIA)
    assert all_of(look(machine.roots), told=new) == [Outcome.GOOD] * 4


def test_a_missing_driver_and_a_closed_file_are_problems_of_their_own(machine: Machine) -> None:
    hardware = look(two(machine).roots)
    machine.card("0000:81:00.0", "10DE:2684", "30000")

    assert all_of(look(machine.roots))[:2] == [Outcome.PROBLEM, Outcome.GOOD]
    shut = ("NVIDIA RTX A2000 12GB: this user may not use /dev/nvidia1, which belongs to the group video.",)
    closed = Hardware(hardware.processor, 0, 0, hardware.accelerators, notes=shut)
    assert all_of(closed, shut)[:2] == [Outcome.GOOD, Outcome.PROBLEM]


def test_a_broken_specification_is_said_where_names_are_missing(machine: Machine) -> None:
    hardware = look(two(machine).write("etc/cdi/nvidia.yaml", "kind: [").roots)

    unreadable = cdi.read(machine.roots)[1]

    assert checks.usable(hardware, unreadable).outcome is Outcome.GOOD
    found = checks.for_containers(hardware, unreadable)
    assert (found.outcome, "nvidia.yaml is not a CDI" in found.said) == (Outcome.PROBLEM, True)


def test_graphics_inside_a_processor_are_shown_and_not_asked_about(machine: Machine) -> None:
    machine.card("0000:00:02.0", "8086:A780", "30000", "i915", ("card0", "renderD128")).nodes(
        "dri/renderD128"
    )

    hardware = look(machine.roots)

    assert len(hardware.accelerators) == 1
    assert permission.closed(machine.roots, checks.counted(hardware)) == ()
    assert all_of(hardware)[1:] == [Outcome.ABSENT] * 3


def test_the_engine_is_asked_over_its_socket(tmp_path: Path) -> None:
    body = json.dumps({"CDISpecDirs": ["/etc/cdi"]}).encode()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "e.sock"))
        server.listen()

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                assert connection.recv(4096).startswith(b"GET /info ")
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

        thread = threading.Thread(target=answer)
        thread.start()
        assert checks.ask_engine(f"unix://{tmp_path}/e.sock") == {"CDISpecDirs": ["/etc/cdi"]}
        thread.join()
