"""What OpenVINO raises, and the reason in its messages."""

from __future__ import annotations

FAILURES = (RuntimeError, UnicodeDecodeError)
"""The second where a message quotes bytes of the model that are not UTF-8."""
_ABOUT_SOURCE = ("Exception from", "Check ", "FrontEnd API failed")


def message_of(error: Exception) -> str:
    """The whole message."""
    if isinstance(error, UnicodeDecodeError):
        return error.object.decode(errors="replace")
    return str(error)


def reason_of(error: Exception) -> str:
    """The first line that is not about OpenVINO's source code."""
    lines = [line.strip() for line in message_of(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(_ABOUT_SOURCE)]
    return (telling or lines or ["no reason given"])[0]
