"""The process in which a model is quantised: of the lowest priority, and gone with whoever started it.

``python -m appliance.inference.quantise.child`` with the job as JSON on standard input (``sources``, ``target``,
``recipe``, ``threads``). On standard output a line of JSON for each step; status 3 and a sentence, 4 for a full disk.
"""

import json
import os
import resource
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

REFUSED, FULL = 3, 4


def main() -> None:
    job = json.loads(sys.stdin.readline())
    _be_modest(int(job["parent"]))
    from appliance.inference.catalogue.space import FULL as FULL_DISK
    from appliance.inference.quantise.ggml import Ggml
    from appliance.inference.quantise.recipe import Recipe
    from appliance.inference.quantise.writing import CannotQuantise, rewrite

    try:
        with ThreadPoolExecutor(job["threads"]) as workers:
            ggml = Ggml(workers, job["threads"])
            sources = [Path(one) for one in job["sources"]]
            made = rewrite(sources, Path(job["target"]), Recipe(job["recipe"]), ggml, _tell)
    except CannotQuantise as error:
        _end({"refused": str(error)}, REFUSED)
    except ImportError:
        _end({"refused": "llama.cpp is not installed on this box"}, REFUSED)
    except MemoryError:
        _end({"refused": "there is not enough memory for it"}, REFUSED)
    except OSError as error:
        _end({"refused": error.strerror or str(error)}, FULL if error.errno in FULL_DISK else REFUSED)
    else:
        _end({"made": made}, 0)


def _be_modest(parent: int) -> None:
    from appliance.sandbox.process import kernel

    os.nice(19)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("700")
    # Its temporary file is of no use to anybody once the other end is gone.
    if not kernel.die_with_parent(9, parent):
        sys.exit(1)


def _tell(done: int, total: int, name: str) -> None:
    sys.stdout.write(json.dumps({"done": done, "total": total, "tensor": name}) + "\n")
    sys.stdout.flush()


def _end(said: dict[str, object], status: int) -> None:
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
