"""Doctor: what is wrong with this machine, this node and the way to the others, each finding with what to do."""

from __future__ import annotations

from collections.abc import Iterator

import structlog

from aen.doctor.examinations import EXAMINATIONS
from aen.doctor.findings import Finding, Patient, warning

log = structlog.get_logger(__name__)

_ORDER = {"problem": 0, "warning": 1, "ok": 2}


def examine(patient: Patient) -> list[Finding]:
    """Every finding of the examinations that are for one of the patient's roles. Blocks for seconds; raises nothing."""
    return list(_all(patient))


def worst_first(findings: list[Finding]) -> list[Finding]:
    """Problems, then warnings, then what is well; each in the order in which it was looked at."""
    return sorted(findings, key=lambda finding: _ORDER[finding.state])


def _all(patient: Patient) -> Iterator[Finding]:
    for roles, look in EXAMINATIONS:
        if not set(roles) & set(patient.roles):
            continue
        try:
            yield from look(patient)
        except Exception as error:  # a fault of one must not hide what the others find
            log.warning("an examination failed", examination=look.__name__, error=str(error), kind=type(error).__name__)
            yield warning(
                look.__name__,
                f"could not be looked at ({type(error).__name__}: {error})",
                "Run `aen doctor` as the account that starts AEN.",
            )


__all__ = ["Finding", "Patient", "examine", "worst_first"]
