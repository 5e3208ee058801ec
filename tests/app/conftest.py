"""What the web app's tests share: compiled models that are kept, away from the user's."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(scope="session", autouse=True)
def _compiled_models(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENLARGE_CACHE", str(tmp_path_factory.mktemp("compiled")))
        yield
