"""Files by URL (s3://bucket/name, https://…, and what else fsspec opens): read, listed, put.

The packages that do it come with the extra `[cluster]`, and are imported when the first URL is
used. What they raise becomes `InputError` or `OutputError` here.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from enlarge.errors import EnlargeError, InputError, OptionError, OutputError

INSTALL = 'pip install "enlarge[cluster]"'
WEB = ("http", "https")
STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "memory")
"""Object stores: a file put there is whole, or is not there."""
_OF_EXTRA = ("s3", "s3a", *WEB)
_CONNECT, _TRIES = 10, 3
"""Seconds that a store has to answer a connection, and how often it is tried."""
_TELLING = ("ETag", "etag", "Content-MD5", "Digest", "md5Hash", "crc32c", "generation")
"""What stores say that changes with a file's content."""
_TIMES = ("LastModified", "last_modified", "mtime", "created")


def is_url(text: str) -> bool:
    """Whether a text is a URL rather than a path (`C:/pictures` is a path)."""
    scheme, mark, _ = text.partition("://")
    return bool(mark) and len(scheme) > 1 and scheme.replace("+", "").isalnum()


def as_path(text: str) -> str:
    """The path in a file:// URL; any other text as it is. Raises `OptionError` for another host."""
    if not text.lower().startswith("file://"):
        return text
    from urllib.request import url2pathname  # it loads a good deal

    parts = urlsplit(text)
    if parts.netloc not in ("", "localhost"):
        raise OptionError(f"{text} names the host {parts.netloc}; expected file:///PATH")
    return url2pathname(parts.path)


@dataclass(frozen=True)
class Remote:
    """A file, or what is below a prefix, by its URL."""

    url: str

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> Remote:
        return Remote(f"{self.url.rstrip('/')}/{name}")

    @property
    def protocol(self) -> str:
        """What stands before `://`, in small letters."""
        return self.url.partition("://")[0].lower()

    @property
    def name(self) -> str:
        """The last part of its path, without what a web address says after a `?`."""
        if self.protocol in WEB:
            return PurePosixPath(unquote(urlsplit(self.url).path)).name
        return PurePosixPath(self.url.partition("://")[2]).name

    @property
    def suffix(self) -> str:
        """The extension of its name, with the dot, in small letters."""
        return PurePosixPath(self.name).suffix.lower()

    @property
    def root(self) -> Remote:
        """The bucket, or the host, that it lies in."""
        return Remote(f"{self.protocol}://{self.url.partition('://')[2].partition('/')[0]}")

    def info(self) -> dict[str, Any]:
        """What its store says of it. Raises `FileNotFoundError`, and `InputError` for the rest."""
        with _explained(self, InputError, missing=True):
            found: dict[str, Any] = _files(self.protocol).info(self.url)
        return found

    def exists(self) -> bool:
        """Whether there is such a file. Raises `InputError` where the store does not answer."""
        try:
            return self.info().get("type") != "directory"
        except FileNotFoundError:
            return False

    def stamp(self) -> str:
        """What tells its content without reading it, as long as it stays the same; its digest where
        the store says nothing of that kind. Raises as `info`.
        """
        found = self.info()
        says = [f"{key} {found[key]}" for key in (*_TELLING, *_TIMES) if found.get(key)]
        return " ".join([*says, f"size {found.get('size')}"]) if says else self.digest()

    def identity(self) -> str:
        """A digest of its content: what the store has, else `digest`. Raises as `info`."""
        found = self.info()
        for key in _TELLING:
            if found.get(key):
                return f"{key} {found[key]} {found.get('size')}"
        return self.digest()

    def digest(self) -> str:
        """The SHA-256 of its content, which is read for it. Raises as `info`."""
        digest = hashlib.sha256()
        with (
            _explained(self, InputError, missing=True),
            _files(self.protocol).open(self.url, "rb") as file,
        ):
            while data := file.read(1 << 20):
                digest.update(data)
        return digest.hexdigest()

    def open(self) -> Download:
        """Its content, copied to a temporary file. Raises `InputError`."""
        return Download(self)

    def put(self, path: Path) -> None:
        """Make it what the file at `path` is, whole or not at all. Raises `OutputError`."""
        with _explained(self, OutputError):
            _files(self.protocol).put_file(str(path), self.url)

    def check_target(self) -> None:
        """Raise `OutputError` where nothing can be put: another kind of store, or no bucket."""
        if self.protocol not in STORES:
            raise OutputError(
                f"{self.url}: results go to a folder on this machine or to an object store "
                f"({', '.join(STORES[:4])}, …), not to {self.protocol}://"
            )
        with _explained(self, OutputError):
            if self.protocol != "memory" and not _files(self.protocol).exists(self.root.url):
                raise OutputError(
                    f"{self.url}: there is no bucket {self.root.url}, or it may not be read; "
                    "make it first, or name another"
                )

    def below(self) -> list[str]:
        """The URLs of the files below it, sorted. Raises `InputError`."""
        with _explained(self, InputError):
            return self._named(_files(self.protocol).find(self.url))

    def matches(self) -> list[str]:
        """The URLs of the files that it matches, where it holds wildcards. Raises `InputError`."""
        with _explained(self, InputError):
            return self._named(_files(self.protocol).glob(self.url))

    def _named(self, found: list[str]) -> list[str]:
        files = _files(self.protocol)
        bare = (files.unstrip_protocol(name).partition("://")[2] for name in found)
        return sorted(f"{self.protocol}://{name}" for name in bare)  # s3a:// stays s3a://


class Download:
    """The content of a URL in a temporary file that goes when this is closed. `name` is what errors
    call it, `held_at` where the file lies.
    """

    def __init__(self, remote: Remote) -> None:
        self.name = remote.url
        self._folder = tempfile.TemporaryDirectory(prefix="enlarge-")
        self.held_at = Path(self._folder.name) / "content"
        try:
            with _explained(remote, InputError):
                _files(remote.protocol).get_file(remote.url, str(self.held_at))
            self._file = self.held_at.open("rb")
        except BaseException:
            self._folder.cleanup()
            raise

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        return self._file.read(size)

    def close(self) -> None:
        """Remove the file."""
        self._file.close()
        self._folder.cleanup()


@cache
def _files(protocol: str) -> Any:
    """The file system of a protocol. Nothing that it lists is kept: others write there too."""
    import fsspec

    options: dict[str, Any] = {"use_listings_cache": False, "skip_instance_cache": True}
    if protocol in ("s3", "s3a"):
        retries = {"max_attempts": _TRIES, "mode": "standard"}
        options["config_kwargs"] = {"connect_timeout": _CONNECT, "retries": retries}
    return fsspec.filesystem(protocol, **options)


@contextlib.contextmanager
def _explained(
    remote: Remote, kind: type[EnlargeError], *, missing: bool = False
) -> Iterator[None]:
    """Raise what fsspec and those below it raise as `kind`; with `missing`, a file that is not
    there as `FileNotFoundError`.
    """
    done = "read" if kind is InputError else "written"
    try:
        yield
    except EnlargeError:
        raise
    except ImportError as error:
        if error.name == "fsspec" or remote.protocol in _OF_EXTRA:
            raise kind(f"{remote}: files by URL need an extra: {INSTALL}") from error
        raise kind(f"{remote}: {remote.protocol}:// needs another package ({error})") from error
    except FileNotFoundError as error:
        if missing and error.__cause__ is None:
            raise
        if missing and not _is_unreachable(error.__cause__):
            raise
        why = error.__cause__ if _is_unreachable(error.__cause__) else "there is no such file"
        raise kind(f"{remote}: cannot be {done}: {why}") from error
    except _foreign() as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise kind(f"{remote}: cannot be {done}: {' '.join(str(why).split())}") from error


def _is_unreachable(cause: BaseException | None) -> bool:
    """Whether a web server that does not answer was taken for a missing file."""
    aiohttp: Any = sys.modules.get("aiohttp")
    return aiohttp is not None and isinstance(cause, aiohttp.ClientConnectionError)


def _foreign() -> tuple[type[Exception], ...]:
    """What file systems raise: Python's own, and those of packages that are loaded."""
    found: list[type[Exception]] = [OSError, ValueError, NotImplementedError, TimeoutError]
    for module, names in (
        ("botocore.exceptions", ("BotoCoreError", "ClientError")),
        ("aiohttp", ("ClientError",)),
    ):
        loaded = sys.modules.get(module)
        found += [getattr(loaded, name) for name in names] if loaded is not None else []
    return tuple(found)
