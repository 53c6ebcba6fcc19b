"""The pictures to edit: URLs, files, and the pictures of folders."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import typer

from cli import arguments
from cli.errors import WrongUsage
from edits.media import kinds

LARGEST = 64 * 1024 * 1024  # bytes of a local file; the server has a lower limit of its own


class Picture(NamedTuple):
    """Content of a local picture."""

    content: bytes
    content_type: str


@dataclass(frozen=True)
class Source:
    """One picture. `name` is its URL or path."""

    name: str
    path: Path | None = None  # None for a URL

    def read(self) -> Picture | None:
        """Content of the file, None for a URL. Raises WrongUsage."""
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
    folders: tuple[Path, ...] = ()  # searched for pictures
    passed_over: int = 0  # other files in them

    @property
    def several(self) -> bool:
        """Whether results go into a folder: several pictures, or any folder."""
        return len(self.sources) > 1 or bool(self.folders)


def find(images: Sequence[str]) -> Found:
    """All pictures, each once. Raises WrongUsage if one cannot be read."""
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
        raise WrongUsage(f"IMAGE: no PNG, JPEG or WebP picture in {', '.join(images)}")
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
    """Its files, without hidden ones and subfolders."""
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
