"""What model files say, read by a process with limits: nobody knows yet what they are."""

import os
import subprocess
import sys
from pathlib import Path

from pydantic import ValidationError

from appliance.inference.catalogue.reading import child
from appliance.inference.catalogue.reading.facts import Facts
from appliance.inference.errors import ModelRefused
from appliance.lib.config import ROOT

_PATIENCE = 300.0
"""A head is read in a moment, unless the disk is slow."""
_SHOWN = 600
_HINT = "docs/how-to/import-a-model.md says what is taken"
_ENVIRONMENT = {"PATH": os.defpath, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "LANG": "C.UTF-8"}


def inspect_path(path: Path, only: str = "") -> Facts:
    """Of a folder, or a GGUF file; ``only``: a pattern of weights. Raises ModelRefused with the reason."""
    argv = [sys.executable, "-s", "-E", "-m", child.__name__, str(path.absolute()), only]
    try:
        done = subprocess.run(
            argv,
            cwd=ROOT,
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE,
            start_new_session=True,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ModelRefused("the model's files take too long to read", hint=_HINT) from error
    if done.returncode == child.REFUSED:
        said = done.stdout.decode("utf-8", "replace")[:_SHOWN]
        raise ModelRefused(f"this is no model for this box: {said}", hint=_HINT)
    if done.returncode:
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"status {done.returncode}"
        raise ModelRefused(f"the model's files could not be read: their reader ended with {how}", hint=_HINT)
    try:
        return Facts.model_validate_json(done.stdout)
    except ValidationError as error:
        raise ModelRefused("the model's files say nothing that can be understood", hint=_HINT) from error
