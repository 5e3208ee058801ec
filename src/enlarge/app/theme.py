"""How the page looks and what Streamlit may do, as options of `streamlit run`."""

from __future__ import annotations

from collections.abc import Iterator

_FONT = (
    'Inter, "Pretendard", system-ui, -apple-system, "Segoe UI", "Noto Sans", "Noto Sans KR", '
    '"Noto Sans CJK KR", "Apple SD Gothic Neo", "Malgun Gothic", sans-serif'
)
_LIGHT = {
    "primaryColor": "#1f6f5c",
    "backgroundColor": "#fcfbf8",
    "secondaryBackgroundColor": "#f2f0ea",
    "textColor": "#1d2022",
    "borderColor": "#dcd8cd",
    "linkColor": "#1f6f5c",
}
_DARK = {
    "primaryColor": "#2e9278",
    "backgroundColor": "#141719",
    "secondaryBackgroundColor": "#1e2225",
    "textColor": "#e8e6e1",
    "borderColor": "#343a3e",
    "linkColor": "#6cc7aa",
}
_SHARED = {
    "theme.font": _FONT,
    "theme.baseFontSize": 15,
    "theme.baseRadius": "8px",
    "theme.showWidgetBorder": True,
    "client.toolbarMode": "minimal",
    "client.showErrorDetails": "none",
    "browser.gatherUsageStats": False,
    "logger.hideWelcomeMessage": True,  # its lines cost a request to the internet
    "server.fileWatcherType": "none",
    "server.runOnSave": False,
}


def streamlit_options() -> Iterator[tuple[str, object]]:
    """Name and value of each."""
    yield from _SHARED.items()
    for kind, colours in (("light", _LIGHT), ("dark", _DARK)):
        for name, value in colours.items():
            yield f"theme.{kind}.{name}", value
