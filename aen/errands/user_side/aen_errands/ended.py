"""Ended in time: a program's answer, bounded in time and size."""

from __future__ import annotations

import resource
import subprocess
import threading
from contextlib import suppress

from aen_errands import Refused

_LARGEST_FILE = 4 << 30  # bytes of one file that it may write


def answer(process: subprocess.Popen[bytes], feed: bytes, seconds: float, most: int) -> bytes:
    """What it says, given `feed`. Refused when it takes longer, or says more; it is ended then."""
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(BrokenPipeError), process.stdin:
            process.stdin.write(feed)
        data = process.stdout.read(most + 1)
        if len(data) > most:
            process.kill()
            raise Refused(f"That is too much to show: more than {most >> 20} MB. Use git in a terminal for it.")
        process.wait()
    finally:
        late = not timer.is_alive()
        timer.cancel()
        process.stdout.close() if process.stdout else None
        if process.poll() is None:
            process.kill()
            process.wait()
    if late:
        raise Refused(f"Git took longer than {seconds:.0f} seconds, and was ended. Use it in a terminal for this.")
    return data


def limit() -> None:
    """Run in the new process, before the program."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (_LARGEST_FILE, _LARGEST_FILE))
