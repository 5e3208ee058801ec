"""The page in Streamlit's own test runner, without a browser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import enlarge.app
from enlarge.app.options import VARIABLE, Options

PAGE = Path(enlarge.app.__file__).with_name("page.py")


@contextmanager
def opened(options: Options) -> Iterator[AppTest]:
    """The page of an app with these options; its visit ends with it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, options.to_json())
        test = AppTest.from_file(str(PAGE), default_timeout=120)
        yield test
        if "visit" in test.session_state:
            test.session_state["visit"].close()


def run(page: AppTest) -> AppTest:
    """Run the page, which must not raise."""
    page.run()
    problems = [f"{error.message}\n{chr(10).join(error.stack_trace)}" for error in page.exception]
    assert not problems, problems[0]
    return page
