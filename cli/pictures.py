"""Saves results under unused names; an identical file is not written again."""

import asyncio
import hashlib
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

from cli import arguments
from cli.errors import WorkFailed, WrongUsage, why
from cli.views import Result
from edits.media import kinds

ENDINGS = {content_type: ending for ending, content_type in kinds.CONTENT_TYPES.items()}
NAMES = 10_000  # tried beside each other

Opened = Callable[[], AbstractAsyncContextManager[AsyncIterator[bytes]]]


def refuse_taken(out: str | None) -> None:
    """Checks before a purchase that the result can be saved. Raises WrongUsage."""
    if out is None or out == "-":
        return
    path = arguments.path(out, name="--out")
    if out.endswith(("/", os.sep)):
        make_folder(path)
    if path.exists() and not path.is_dir():
        raise WrongUsage(f"--out: {out} exists and is not overwritten; choose another name")
    if not path.parent.is_dir():
        raise WrongUsage(f"--out: there is no folder {path.parent}")


def make_folder(path: Path) -> Path:
    """Makes a folder for results; its parent must exist."""
    try:
        path.mkdir(exist_ok=True)
    except OSError as error:
        raise WrongUsage(f"--out: {path}: {why(error)}") from error
    return path


async def save(opened: Opened, *, result: Result, image: str, out: str | None) -> Path:
    """Saves the picture as `out`, or in the folder `out`, or in the working folder; skips an identical file."""
    ending = ENDINGS.get(result.content_type, "bin")
    for path in _names(image=image, out=out, ending=ending):
        try:
            file = path.open("xb")
        except FileExistsError:
            if await asyncio.to_thread(_is_it, path, result):
                return path
            continue
        except OSError as error:
            raise WrongUsage(f"--out: {path}: {why(error)}") from error
        try:
            with file:
                async with opened() as content:
                    await copy(content, file, result=result)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise WorkFailed(f"{path} cannot be written ({error.strerror}); the edit has succeeded") from error
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path
    raise WrongUsage(f"--out: no unused name for {Path(out or '.')}")


async def copy(content: AsyncIterator[bytes], file: IO[bytes], *, result: Result) -> None:
    """Copies the picture and compares its hash with the edit's. Raises WorkFailed."""
    digest = hashlib.sha256()
    async for piece in content:
        digest.update(piece)
        file.write(piece)
    file.flush()
    if digest.hexdigest() != result.sha256:
        raise WorkFailed("the download is incomplete; `retouch status ID` shows its URL")


def _names(*, image: str, out: str | None, ending: str) -> Iterator[Path]:
    path = arguments.path(out or ".", name="--out")
    if path.is_dir():
        path /= f"{_stem(image)}-retouched.{ending}"
    yield path
    for number in range(2, NAMES):
        yield path.with_name(f"{path.stem}-{number}{path.suffix}")


def _is_it(path: Path, result: Result) -> bool:
    try:
        same_size = path.stat().st_size == result.bytes
        return same_size and hashlib.sha256(path.read_bytes()).hexdigest() == result.sha256
    except OSError:
        return False


def _stem(image: str) -> str:
    """File name of the picture without its suffix, at most 80 safe characters."""
    name = unquote(urlsplit(image).path) if "://" in image else image
    stem = re.sub(r"[^\w.-]+", "-", Path(name.replace(os.sep, "/")).stem).strip("-.")
    return stem[:80] or "picture"
