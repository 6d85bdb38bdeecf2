"""The systemd unit starts this box as its owner, whatever its home is called."""

import configparser
import os
import pwd
from pathlib import Path

from appliance.lib.home import Home
from appliance.processes.management.commands.install import unit_of


def test_the_unit_names_home_and_owner(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "my 100% box")
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[method-assign,assignment]
    parser.read_string(unit_of(home))
    service = parser["Service"]
    assert service["User"] == pwd.getpwuid(os.geteuid()).pw_name
    assert service["Environment"] == f'"MILLWRIGHT_HOME={tmp_path}/my 100%% box"'
    assert service["ExecStart"].endswith('/manage.py" up')
    assert int(service["TimeoutStopSec"]) >= 120
