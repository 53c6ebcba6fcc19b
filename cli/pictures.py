"""Pictures between the API and the disk: what may be sent, and a place for a result that overwrites nothing."""

import base64
import hashlib
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

from cli.errors import WorkFailed, WrongUsage
from cli.views import Result

LARGEST = 64 * 1024 * 1024  # bytes read from a local file; the server's own cap is lower and says so
ENDINGS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}


def to_send(image: str) -> str:
    """The `image` field for an address or a local file."""
    if re.match(r"https?://", image, re.IGNORECASE):
        return image
    path = Path(image).expanduser()
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise WrongUsage(f"IMAGE: {image}: {(error.strerror or 'cannot be read').lower()}") from error
    if len(content) > LARGEST:
        raise WrongUsage(f"IMAGE: {image} is larger than {LARGEST // 1024**2} MiB")
    return f"data:{_type(content, image)};base64,{base64.b64encode(content).decode()}"


def _type(content: bytes, image: str) -> str:
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    raise WrongUsage(f"IMAGE: {image} is no PNG, JPEG or WebP picture")


def refuse_taken(out: str | None) -> None:
    """Before anything is bought: where the picture is to go must be free and possible."""
    if out is None or out == "-":
        return
    path = Path(out).expanduser()
    if path.exists() and not path.is_dir():
        raise WrongUsage(f"--out: {out} is there already; nothing is overwritten, choose another name")
    if not path.parent.is_dir():
        raise WrongUsage(f"--out: there is no folder {path.parent}")


async def save(content: AsyncIterator[bytes], *, result: Result, image: str, out: str | None) -> Path:
    """Writes the picture to `out` (a file or a folder) or beside us, under a name that is free."""
    path, file = _reserve(image=image, out=out, ending=ENDINGS.get(result.content_type, "bin"))
    try:
        with file:
            await copy(content, file, result=result)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise WorkFailed(f"{path} cannot be written ({error.strerror}); the edit itself is done") from error
    except BaseException:
        path.unlink(missing_ok=True)  # half a picture is worse than none
        raise
    return path


async def copy(content: AsyncIterator[bytes], file: IO[bytes], *, result: Result) -> None:
    """Copies and checks the picture against what the edit says of it."""
    digest = hashlib.sha256()
    async for piece in content:
        digest.update(piece)
        file.write(piece)
    file.flush()
    if digest.hexdigest() != result.sha256:
        raise WorkFailed("the picture did not arrive whole; run `retouch status ID` for its address and fetch it again")


def _reserve(*, image: str, out: str | None, ending: str) -> tuple[Path, IO[bytes]]:
    path = Path(out).expanduser() if out else Path()
    if path.is_dir():
        path /= f"{_stem(image)}-retouched.{ending}"
    for number in range(1, 10_000):
        candidate = path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")
        try:
            return candidate, candidate.open("xb")
        except FileExistsError:
            continue
        except OSError as error:
            raise WrongUsage(f"--out: {candidate}: {(error.strerror or 'cannot be written').lower()}") from error
    raise WrongUsage(f"--out: no free name beside {path}")


def _stem(image: str) -> str:
    """The picture's own name without its ending, fit for a file of ours."""
    name = unquote(urlsplit(image).path) if "://" in image else image
    stem = re.sub(r"[^\w.-]+", "-", Path(name.replace(os.sep, "/")).stem).strip("-.")
    return stem[:80] or "picture"
