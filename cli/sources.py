"""What `edit` was given, as a list of pictures: addresses, files, and each picture of a folder."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import typer

from cli import arguments
from cli.errors import WrongUsage
from edits.media import kinds

LARGEST = 64 * 1024 * 1024  # bytes read from a local file; the server's own cap is lower and says so


class Picture(NamedTuple):
    """A local picture as it is sent."""

    content: bytes
    content_type: str


@dataclass(frozen=True)
class Source:
    """One picture. `name` is how a person knows it: the address or path, as it was given or found."""

    name: str
    path: Path | None = None  # None: an address, which the provider fetches itself

    def read(self) -> Picture | None:
        """Its bytes, or None for an address. Raises WrongUsage."""
        if self.path is None:
            return None
        try:
            with self.path.open("rb") as file:
                content = file.read(LARGEST + 1)
        except OSError as error:
            raise _unreadable(self.name, error) from error
        if len(content) > LARGEST:
            raise WrongUsage(f"IMAGE: {self.name} is larger than {LARGEST // 1024**2} MiB")
        return Picture(content, _content_type(self.name, content))


@dataclass(frozen=True)
class Found:
    sources: tuple[Source, ...]
    folders: tuple[Path, ...] = ()  # those that were looked through
    passed_over: int = 0  # files in them that are no pictures

    @property
    def many(self) -> bool:
        """Whether results go side by side into a folder: also for a folder that holds one picture."""
        return len(self.sources) > 1 or bool(self.folders)


def find(images: Sequence[str]) -> Found:
    """Every picture meant, none twice. Raises WrongUsage for what cannot be read, before anything is handed in."""
    sources: dict[str, Source] = {}
    folders = []
    passed_over = 0
    for image in images:
        path = arguments.path(image, name="IMAGE")
        if is_address(image):
            address = _address(image)
            sources.setdefault(address, Source(address))
        elif path.is_dir():
            folders.append(path)
            inside = _in_folder(path)
            sources |= {source.name: source for source in inside if source.path and _is_picture(source.path)}
            passed_over += sum(not (source.path and _is_picture(source.path)) for source in inside)
        else:
            _must_be_picture(image, path)
            sources.setdefault(image, Source(image, path))
    if not sources:
        raise WrongUsage(f"IMAGE: there is no PNG, JPEG or WebP picture in {', '.join(images)}")
    return Found(tuple(sources.values()), tuple(folders), passed_over)


def _address(image: str) -> str:
    try:
        return arguments.text(image.strip())
    except typer.BadParameter as error:
        raise WrongUsage(f"IMAGE: {error}") from error


def is_address(image: str) -> bool:
    return bool(re.match(r"\s*https?://", image, re.IGNORECASE))


def _content_type(name: str, head: bytes) -> str:
    """By what the file is, not by its name. Raises WrongUsage in the words of the API."""
    try:
        return kinds.CONTENT_TYPES[kinds.kind_of(head)]
    except kinds.PictureInvalid as error:
        raise WrongUsage(f"IMAGE: {name}: {error}") from None


def _in_folder(folder: Path) -> list[Source]:
    """Files right in it; hidden ones and folders below it are not meant."""
    try:
        inside = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError as error:
        raise _unreadable(str(folder), error) from error
    return [Source(str(path), path) for path in inside]


def _is_picture(path: Path) -> bool:
    try:
        _content_type(path.name, _head(path))
    except WrongUsage:
        return False
    return True


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(kinds.KIND_BYTES)


def _must_be_picture(name: str, path: Path) -> None:
    try:
        head = _head(path)
    except OSError as error:
        raise _unreadable(name, error) from error
    _content_type(name, head)


def _unreadable(name: str, error: OSError) -> WrongUsage:
    return WrongUsage(f"IMAGE: {name}: {(error.strerror or 'cannot be read').lower()}")


def same_folder(one: Path, others: Iterable[Path]) -> bool:
    return any(one.resolve() == other.resolve() for other in others)
