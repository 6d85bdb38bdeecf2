"""The card of the machine's hardware says what is there, what is not known, and both languages."""

from pathlib import Path

from django.template.loader import render_to_string
from django.utils.translation import override

from appliance.inference.hardware.detecting import look
from tests.unit.inference.hardware.machines import H100_PARTS, H100_WITH_MIG, Machine


def card(machine: Machine, language: str = "en") -> str:
    with override(language):
        return " ".join(render_to_string("models/hardware.html", {"hardware": look(machine.roots)}).split())


def test_a_machine_without_accelerators_says_where_models_run(tmp_path: Path) -> None:
    text = card(Machine(tmp_path))

    assert "No accelerator that can be used: models run on the processor." in text
    assert "2 cores for this box" in text
    assert "<table" not in text


def test_what_is_not_known_is_said_and_notes_are_in_the_readers_language(tmp_path: Path) -> None:
    machine = Machine(tmp_path).nodes("nvidiactl").smi({"-L": H100_PARTS, "query": H100_WITH_MIG})

    english, chinese = card(machine), card(machine, "zh-hans")

    assert english.count("NVIDIA H100 80GB HBM3</b>") == 2
    assert "not known" in english
    assert "is split by MIG into: 3g.40gb" in english
    assert "已由 MIG 划分为：3g.40gb" in chinese
    assert "未知" in chinese
    assert "本机可用 2 个核心" in chinese
