"""Every sentence is there in both languages, and takes the same values in both."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest

import enlarge.app
from enlarge.app.texts import TEXTS, language_of, plain, text

SOURCE = Path(enlarge.app.__file__).parent


def fields(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name}


@pytest.mark.parametrize("key", TEXTS)
def test_both_languages_take_the_same_values(key: str) -> None:
    english, korean = TEXTS[key]
    # A Korean sentence may name the file where the library's English one does already.
    assert fields(english) <= fields(korean) <= fields(english) | {"name"}
    assert english.strip()
    assert korean.strip()


def test_korean_is_korean() -> None:
    same = {key for key, (english, korean) in TEXTS.items() if english == korean}
    assert same <= {"actual", "upload_help"}
    hangul = re.compile("[가-힣]")
    foreign = {key for key, (_, korean) in TEXTS.items() if not hangul.search(korean)}
    assert foreign <= {"actual", "upload_help", "becomes"}


def test_every_key_is_used_and_every_used_key_exists() -> None:
    places = set(SOURCE.glob("*texts.py"))
    code = "".join(
        path.read_text(encoding="utf-8") for path in SOURCE.glob("*.py") if path not in places
    )
    unused = {key for key in TEXTS if not re.search(f"[\"']{key}[\"']", code)}
    assert not unused
    for key in re.findall(r'\.(?:say|marked)\(\s*"(\w+)"', code):
        assert key in TEXTS


@pytest.mark.parametrize(
    ("locale", "language"),
    [("ko-KR", "ko"), ("ko", "ko"), ("en-US", "en"), ("kok-IN", "en"), ("de", "en"), (None, "en")],
)
def test_the_browser_chooses(locale: str | None, language: str) -> None:
    assert language_of(locale) == language


def test_a_missing_value_is_an_error() -> None:
    assert text("en", "fit") == "Fit"
    with pytest.raises(KeyError):
        text("en", "running")


def test_the_words_of_others_are_no_markdown() -> None:
    assert plain("Angebot $20 bis $30.png") == r"Angebot \$20 bis \$30.png"
    assert plain("1. cat.png") == r"1\. cat.png"
    assert plain("a&lt;b.png") == r"a\&lt;b.png"
    assert plain("![](http://x)*b* :red[c]") == r"\!\[\](http://x)\*b\* :red\[c\]"
