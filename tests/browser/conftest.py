"""What browser tests share: a server with people and projects in it, and a real Chromium."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.browser.chromium import chromium
from tests.browser.sample import Sample, sample


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Sample]:
    """A server with people, projects and sessions to look at."""
    async with sample(tmp_path) as running:
        yield running


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Debian's Chromium, without a window."""
    async with chromium() as running:
        yield running
