"""Ids: in the order in which they were made, also within one millisecond."""

from __future__ import annotations

from aen.model import new_id


def test_ids_come_in_the_order_of_their_making() -> None:
    """More of them than one millisecond can count."""
    made = [new_id() for _ in range(70_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert {len(each) for each in made} == {28}
