"""One job by two processes: every part once, whoever takes it; the end of either is the end of both."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

from aen.halves import in_two


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 70_000])
def test_each_part_is_done_once(count: int) -> None:
    mine, said = in_two(count, list, lambda numbers: json.dumps(list(numbers)).encode())
    assert sorted(mine + json.loads(said)) == list(range(count))


def test_a_fault_here_ends_the_other() -> None:
    read, write = os.pipe()

    def theirs(numbers: Iterator[int]) -> bytes:
        os.close(read)
        os.write(write, b"up")
        while True:
            os.write(write, b".")  # ends only by being killed

    def mine(numbers: Iterator[int]) -> None:
        assert os.read(read, 2) == b"up"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        in_two(10, mine, theirs)
    os.close(write)
    while os.read(read, 1 << 16):  # its end of the pipe is closed: it is gone
        pass
    os.close(read)


def test_a_second_process_that_dies_is_told() -> None:
    with pytest.raises(RuntimeError, match="ended from outside"):
        in_two(10, list, lambda numbers: os._exit(3))
