"""What the web app's tests share: a browser, and compiled models, away from the user's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.app.browser import launch


@pytest.fixture(scope="session", autouse=True)
def _compiled_models(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENLARGE_CACHE", str(tmp_path_factory.mktemp("compiled")))
        yield


@pytest.fixture(scope="module")
def _running_browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = launch(playwright)
        yield found
        found.close()


@pytest.fixture
def browser(_running_browser: Any) -> Iterator[Any]:
    """Nobody's visit outlasts a test, not even a failed one's."""
    yield _running_browser
    for context in _running_browser.contexts:
        context.close()
