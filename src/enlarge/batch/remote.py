"""Files behind URLs (s3://bucket/name, https://…, and whatever else fsspec opens).

The packages for this come with the extra `[cluster]` and are imported when the first URL is used.
What they raise becomes `InputError` or `OutputError` here.
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

from enlarge.batch.names import encodable_name
from enlarge.errors import EnlargeError, InputError, OutputError

INSTALL = 'pip install "enlarge[cluster]"'
WEB = ("http", "https")
STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "memory")
"""Object stores: an upload appears when it is complete, or not at all."""
_OF_EXTRA = ("s3", "s3a", *WEB)
_CONNECT, _TRIES = 10, 3
"""Seconds within which a store has to accept a connection, and the number of attempts."""
_CONTENT_KEYS = ("ETag", "etag", "Content-MD5", "Digest", "md5Hash", "crc32c", "generation")
"""What stores report that changes with a file's content."""
_TIME_KEYS = ("LastModified", "last_modified", "mtime", "created")


def is_url(text: str) -> bool:
    """Whether a text is a URL rather than a path (`C:/pictures` is a path)."""
    scheme, mark, _ = text.partition("://")
    return bool(mark) and len(scheme) > 1 and scheme.replace("+", "").isalnum()


@dataclass(frozen=True)
class Remote:
    """A file, or everything below a prefix, by its URL."""

    url: str

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> Remote:
        """A file below it, by a path's name, whose bytes need not be text; those of URLs are."""
        return Remote(f"{self.url.rstrip('/')}/{encodable_name(name)}")

    @property
    def protocol(self) -> str:
        """What is before `://`, in lower case."""
        return self.url.partition("://")[0].lower()

    @property
    def name(self) -> str:
        """The last part of its path, without the query of a web address."""
        if self.protocol in WEB:
            return PurePosixPath(unquote(urlsplit(self.url).path)).name
        return PurePosixPath(self.url.partition("://")[2]).name

    @property
    def suffix(self) -> str:
        """The extension of its name, with the dot, in lower case."""
        return PurePosixPath(self.name).suffix.lower()

    @property
    def root(self) -> Remote:
        """Its bucket, or its host."""
        return Remote(f"{self.protocol}://{self.url.partition('://')[2].partition('/')[0]}")

    def info(self) -> dict[str, Any]:
        """What its store reports about it. Raises `FileNotFoundError`, or `InputError` for other
        problems.
        """
        with _explained(self, InputError, missing=True):
            found: dict[str, Any] = _files(self.protocol).info(self.url)
        return found

    def exists(self) -> bool:
        """Whether the file exists. Raises `InputError` if the store does not answer."""
        try:
            return self.info().get("type") != "directory"
        except FileNotFoundError:
            return False

    def stamp(self) -> str:
        """Changes whenever the content does, and is known without reading it; the digest, where
        the store reports nothing of that kind. Raises as `info` does.
        """
        found = self.info()
        reported = [
            f"{key} {found[key]}" for key in (*_CONTENT_KEYS, *_TIME_KEYS) if found.get(key)
        ]
        return " ".join([*reported, f"size {found.get('size')}"]) if reported else self.digest()

    def identity(self) -> str:
        """A digest of its content: the store's, else `digest()`. Raises as `info` does."""
        found = self.info()
        for key in _CONTENT_KEYS:
            if found.get(key):
                return f"{key} {found[key]} {found.get('size')}"
        return self.digest()

    def digest(self) -> str:
        """The SHA-256 of its content, which has to be read. Raises as `info` does."""
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
        """Upload the file at `path`, completely or not at all. Raises `OutputError`."""
        with _explained(self, OutputError):
            _files(self.protocol).put_file(str(path), self.url)

    def check_target(self) -> None:
        """Raise `OutputError` if nothing can be uploaded: not an object store, or no bucket."""
        if self.protocol not in STORES:
            raise OutputError(
                f"{self.url}: results go to a folder on this machine or to an object store "
                f"({', '.join(STORES[:4])}, …), not to {self.protocol}://"
            )
        with _explained(self, OutputError):
            if self.protocol != "memory" and not _files(self.protocol).exists(self.root.url):
                raise OutputError(
                    f"{self.url}: there is no bucket {self.root.url}, or it may not be read; "
                    "create it first, or name another"
                )

    def below(self) -> list[str]:
        """The URLs of the files below it, sorted. Raises `InputError`."""
        with _explained(self, InputError):
            return self._named(_files(self.protocol).find(self.url))

    def matches(self) -> list[str]:
        """The URLs of the files that match its wildcards, sorted. Raises `InputError`."""
        with _explained(self, InputError):
            return self._named(_files(self.protocol).glob(self.url))

    def _named(self, found: list[str]) -> list[str]:
        files = _files(self.protocol)
        bare = (files.unstrip_protocol(name).partition("://")[2] for name in found)
        return sorted(f"{self.protocol}://{name}" for name in bare)  # s3a:// stays s3a://


class Download:
    """The content of a URL in a temporary file, which `close` removes. `name` is used in errors;
    `stored_at` is the file.
    """

    def __init__(self, remote: Remote) -> None:
        self.name = remote.url
        self._folder = tempfile.TemporaryDirectory(prefix="enlarge-")
        self.stored_at = Path(self._folder.name) / "content"
        try:
            with _explained(remote, InputError):
                _files(remote.protocol).get_file(remote.url, str(self.stored_at))
            self._file = self.stored_at.open("rb")
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
    """The file system of a protocol. Listings are not cached: others write there too."""
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
    """Convert what fsspec and its backends raise to `kind`; with `missing`, let `FileNotFoundError`
    pass for a file that does not exist.
    """
    done = "read" if kind is InputError else "written"
    try:
        yield
    except EnlargeError:
        raise
    except ImportError as error:
        if error.name == "fsspec" or remote.protocol in _OF_EXTRA:
            raise kind(f"{remote}: files behind URLs need an extra: {INSTALL}") from error
        raise kind(f"{remote}: {remote.protocol}:// needs another package ({error})") from error
    except FileNotFoundError as error:
        if missing and error.__cause__ is None:
            raise
        if missing and not _is_unreachable(error.__cause__):
            raise
        why = error.__cause__ if _is_unreachable(error.__cause__) else "there is no such file"
        raise kind(f"{remote}: cannot be {done}: {why}") from error
    except _backend_errors() as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise kind(f"{remote}: cannot be {done}: {' '.join(str(why).split())}") from error


def _is_unreachable(cause: BaseException | None) -> bool:
    """Whether fsspec reported a web server that does not answer as a missing file."""
    aiohttp: Any = sys.modules.get("aiohttp")
    return aiohttp is not None and isinstance(cause, aiohttp.ClientConnectionError)


def _backend_errors() -> tuple[type[Exception], ...]:
    """What file systems raise: Python's own exceptions, and those of the packages loaded."""
    found: list[type[Exception]] = [OSError, ValueError, NotImplementedError, TimeoutError]
    for module, names in (
        ("botocore.exceptions", ("BotoCoreError", "ClientError")),
        ("aiohttp", ("ClientError",)),
    ):
        loaded = sys.modules.get(module)
        found += [getattr(loaded, name) for name in names] if loaded is not None else []
    return tuple(found)
