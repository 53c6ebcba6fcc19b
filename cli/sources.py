"""The pictures to edit: URLs, files, and the pictures of folders."""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import typer

from cli import arguments
from cli.errors import WrongUsage, why
from edits.media import kinds

LARGEST = 64 * 1024 * 1024  # bytes of a local file; the server has a lower limit of its own


class Picture(NamedTuple):
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
        content = _head(self.path, LARGEST + 1, name=self.name)
        if len(content) > LARGEST:
            raise WrongUsage(f"IMAGE: {self.name} is larger than {LARGEST // 1024**2} MiB")
        return Picture(content, _content_type(content, name=self.name))


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
        if re.match(r"\s*https?://", image, re.IGNORECASE):
            address = _address(image)
            sources.setdefault(address, Source(address))
        elif path.is_dir():
            folders.append(path)
            pictures, others = _in_folder(path)
            sources |= {source.name: source for source in pictures}
            passed_over += others
        else:
            _content_type(_head(path, kinds.KIND_BYTES, name=image), name=image)
            sources.setdefault(image, Source(image, path))
    if not sources:
        raise WrongUsage(f"IMAGE: no PNG, JPEG or WebP picture in {', '.join(images)}")
    return Found(tuple(sources.values()), tuple(folders), passed_over)


def _address(image: str) -> str:
    try:
        return arguments.text(image.strip())
    except typer.BadParameter as error:
        raise WrongUsage(f"IMAGE: {error}") from error


def _in_folder(folder: Path) -> tuple[list[Source], int]:
    """Its pictures, and the number of other files; without hidden files and subfolders."""
    try:
        inside = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError as error:
        raise WrongUsage(f"IMAGE: {folder}: {why(error)}") from error
    pictures = []
    for path in inside:
        with suppress(kinds.PictureInvalid):
            kinds.kind_of(_head(path, kinds.KIND_BYTES, name=str(path)))
            pictures.append(Source(str(path), path))
    return pictures, len(inside) - len(pictures)


def _content_type(head: bytes, *, name: str) -> str:
    """By what the file is, not by its name. Raises WrongUsage in the words of the API."""
    try:
        return kinds.CONTENT_TYPES[kinds.kind_of(head)]
    except kinds.PictureInvalid as error:
        raise WrongUsage(f"IMAGE: {name}: {error}") from None


def _head(path: Path, size: int, *, name: str) -> bytes:
    """At most the first `size` bytes. Raises WrongUsage."""
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise WrongUsage(f"IMAGE: {name}: {why(error)}") from error
