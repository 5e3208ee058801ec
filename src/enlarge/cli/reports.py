"""The reports of commands, written as files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from enlarge.errors import OutputError


def write_report(report: Path, document: Any, page: Callable[[], str]) -> None:
    """Write a document as JSON, or the page where the file's name says .html. Raises `OutputError`.

    `report`: a name that `check_report` accepted.
    """
    is_json = report.suffix.lower() == ".json"
    write_text(
        report, json.dumps(document, ensure_ascii=False, indent=2) + "\n" if is_json else page()
    )


def write_text(target: Path, text: str) -> None:
    """Write a text as UTF-8; a name that is not is shown by its bytes. Raises `OutputError`."""
    try:
        target.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise OutputError(f"{target}: cannot be written: {error.strerror or error}") from error
