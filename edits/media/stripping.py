"""Copies only the parts of a picture that its pixels and colours need, so that no decoder unpacks its metadata.

Metadata, damaged or not, and bytes after the end are dropped. Damage to the pixels' own parts is refused.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from edits.media.kinds import PNG_MAGIC, PictureInvalid
from edits.media.sniff import JPEG_END, JPEG_FRAMES, PNG_END, jpeg_segments

MOST_PARTS: Final = 65_536  # chunks of one file. No program writes nearly as many, and each takes some microseconds.
MOST_SCANS: Final = 64  # encoders write a dozen; each takes a decoder over the whole picture again

_EXIF_MOST: Final = 1 << 20
_PROFILE_OPENED: Final = 1 << 20  # bytes of an unpacked colour profile up to which Pillow reads a PNG
_PROFILE_MOST: Final = 4 << 20
_PNG_PIXELS: Final = (b"IHDR", b"PLTE", b"IDAT")
_PNG_COLOURS: Final = (b"sRGB", b"gAMA", b"cHRM", b"cICP", b"sBIT")
_PNG_COLOUR_MOST: Final = 64
_PNG_CLEAR: Final = {0: range(2, 3), 2: range(6, 7), 3: range(1, 257)}  # bytes of tRNS, by colour type
_WEBP_KEPT: Final = (b"VP8X", b"ICCP", b"ANIM", b"ANMF", b"ALPH", b"VP8 ", b"VP8L")
_WEBP_PIXELS: Final = {b"ANMF", b"VP8 ", b"VP8L"}
_WEBP_NOTES: Final = 0x0C  # flags that announce EXIF and XMP
_WEBP_SLACK: Final = 8  # bytes by which some writers count too much: the padding, or the header itself


@dataclass(slots=True)
class Bare:
    data: bytes = b""
    exif: bytes = b""
    profile: bytes = b""  # a colour profile that had to be taken out of `data`
    clear: tuple[int, ...] = ()  # the samples that a PNG without a palette calls transparent, at the depth of the file
    is_open: bool = False  # the file lacks its end mark: the decoder must check that its pixels are whole


def stripped(data: bytes, extension: str) -> Bare:
    """Raises PictureInvalid."""
    return {"png": _png, "jpg": _jpeg, "webp": _webp}[extension](data)


def _png(data: bytes) -> Bare:
    bare, seen = Bare(), set[bytes]()
    parts: list[bytes | memoryview] = [PNG_MAGIC]
    colour = data[25]
    for kind, body, chunk in _png_chunks(data):
        if kind == b"IHDR" and kind in seen:
            raise PictureInvalid("the PNG has two headers")
        if kind in _PNG_PIXELS or (kind in _PNG_COLOURS and len(body) <= _PNG_COLOUR_MOST):
            parts.append(chunk)
        elif kind == b"eXIf" and len(body) <= _EXIF_MOST:
            bare.exif = bare.exif or bytes(body)
        elif kind == b"iCCP" and kind not in seen and (profile := _unpacked(bytes(body))):
            if len(profile) < _PROFILE_OPENED:
                parts.append(chunk)
            else:
                bare.profile = profile
        elif kind == b"tRNS" and kind not in seen and len(body) in _PNG_CLEAR.get(colour, ()):
            if colour == 3:
                parts.append(chunk)
            else:
                bare.clear = struct.unpack(f">{len(body) // 2}H", body)
        seen.add(kind)
    bare.is_open = b"IEND" not in seen
    if b"IDAT" not in seen or (colour == 3 and b"PLTE" not in seen):
        raise PictureInvalid("the picture is cut short" if bare.is_open else "the PNG lacks its pixels or its palette")
    bare.data = b"".join([*parts, PNG_END])
    return bare


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, memoryview | bytes, memoryview | bytes]]:
    """Kind, body and the whole of each chunk whose checksum is right, to IEND or the end of the file.

    Pixels that a cut file ends with get a checksum.
    """
    view, at = memoryview(data), len(PNG_MAGIC)
    for _ in range(MOST_PARTS):
        if at + 8 > len(data):
            return
        length, kind = struct.unpack_from(">I4s", data, at)
        if length >= 2**31 or not kind.isalpha() or (kind == b"IEND" and length):
            raise PictureInvalid("the PNG is damaged: a chunk of it has no proper name or length")
        chunk, at = view[at : at + 12 + length], at + 12 + length
        if at > len(data):
            if kind == b"IDAT":
                body = bytes(chunk[8 : 8 + length])
                checksum = zlib.crc32(kind + body).to_bytes(4, "big")
                yield kind, body, len(body).to_bytes(4, "big") + kind + body + checksum
            return
        if zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big"):
            yield kind, chunk[8:-4], chunk
            if kind == b"IEND":
                return
        elif kind[:1].isupper():
            raise PictureInvalid("the PNG is damaged: the checksum of a chunk is wrong")
    raise PictureInvalid(f"the picture has more than {MOST_PARTS} parts")


def _unpacked(body: bytes) -> bytes:
    """The colour profile; nothing for one that is damaged or too large."""
    try:
        unpacker = zlib.decompressobj()
        profile = unpacker.decompress(body[body.index(b"\0") + 2 :], _PROFILE_MOST)
    except (ValueError, zlib.error):
        return b""
    return profile if unpacker.eof else b""


def _jpeg(data: bytes) -> Bare:
    """Searches only before the pixels: no other part holds metadata."""
    bare, parts, body = Bare(), [data[:2]], len(data)
    for marker, start, end in jpeg_segments(data):
        segment = data[start:end]
        if marker == 0xE1 and segment[2:8] == b"Exif\0\0":
            bare.exif = bare.exif or segment[8:]
        if kept := _jpeg_kept(marker, segment):
            parts.append(b"\xff%c" % marker + kept)
        body = end
    end = data.find(JPEG_END, body)
    pixels = data[body:end] if end >= 0 else data[body:].removesuffix(b"\xff")
    if pixels.count(b"\xff\xda") >= MOST_SCANS:
        raise PictureInvalid(f"the JPEG has more than {MOST_SCANS} scans")
    bare.data = b"".join([*parts, pixels, JPEG_END])
    bare.is_open = end < 0
    if bare.is_open and not _has_all_scans(bare.data):
        raise PictureInvalid("the picture is cut short")
    return bare


def _jpeg_kept(marker: int, segment: bytes) -> bytes:
    """The segment, or nothing for notes; JFIF loses its preview."""
    if marker == 0xE0:
        return b"\0\x10" + segment[2:14] + b"\0\0" if segment[2:7] == b"JFIF\0" and len(segment) >= 16 else b""
    if marker == 0xE2:
        return segment if segment[2:14] == b"ICC_PROFILE\0" else b""
    if marker == 0xEE:
        return segment if segment[2:7] == b"Adobe" else b""
    return b"" if marker == 0xFE or 0xE0 <= marker <= 0xEF else segment


def _has_all_scans(data: bytes) -> bool:
    """Whether each coefficient of each component has its last bit; a progressive JPEG spreads them over scans."""
    frame_at, frame_end = next((start, end) for marker, start, end in jpeg_segments(data) if marker in JPEG_FRAMES)
    final: set[tuple[int, int]] = set()
    for scan in re.compile(rb"\xff\xda").finditer(data, frame_end):
        count = data[scan.end() + 2] if scan.end() + 2 < len(data) else 0
        header = data[scan.end() + 3 : scan.end() + 6 + 2 * count]
        if len(header) == 2 * count + 3 and not header[-1] & 15:
            final |= {(part, place) for part in header[: 2 * count : 2] for place in range(header[-3], header[-2] + 1)}
    return len(final) >= 64 * data[frame_at + 7]


def _webp(data: bytes) -> Bare:
    bare, seen, parts = Bare(), set[bytes](), list[bytes]()
    end = 8 + int.from_bytes(data[4:8], "little")
    at, number = 12, 0
    if end > len(data) + _WEBP_SLACK:
        raise PictureInvalid("the picture is cut short")
    end = min(end, len(data))
    while at + 8 <= end:
        kind, length = struct.unpack_from("<4sI", data, at)
        body, number = data[at + 8 : at + 8 + length], number + 1
        at += 8 + length + length % 2
        if at - length % 2 > end:
            raise PictureInvalid("the picture is cut short")
        if number > MOST_PARTS:
            raise PictureInvalid(f"the picture has more than {MOST_PARTS} parts")
        if kind == b"EXIF":
            bare.exif = bare.exif or body.removeprefix(b"Exif\0\0")
        if kind in _WEBP_KEPT:
            if kind == b"VP8X" and body:
                body = bytes([body[0] & ~_WEBP_NOTES]) + body[1:]
            parts.append(struct.pack("<4sI", kind, length) + body + b"\0" * (length % 2))
        seen.add(kind)
    if not seen & _WEBP_PIXELS:
        raise PictureInvalid("the WebP lacks its pixels")
    kept = b"WEBP" + b"".join(parts)
    bare.data = b"RIFF" + struct.pack("<I", len(kept)) + kept
    return bare
