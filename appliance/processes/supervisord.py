"""Runs the process manager with a standard error that never fails.

What supervisor cannot write to a log it reports on standard error, and that ends in a file on the same disk: where the
disk is full the report would fail too, and end supervisor, and with it everything that it looks after.
"""

import contextlib
import io
import os
import sys

from supervisor.supervisord import main


class _Stderr(io.TextIOBase):
    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            os.write(2, text.encode(errors="replace"))
        return len(text)


if __name__ == "__main__":
    sys.stderr = _Stderr()
    main()
