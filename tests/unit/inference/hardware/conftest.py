from pathlib import Path

import pytest

from tests.unit.inference.hardware.machines import Machine


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine without any accelerator."""
    return Machine(tmp_path)
