"""JPEG: reads the header before the first scan, and strips every segment that is neither pixels nor colour."""

import re
from collections.abc import Iterator
from typing import Final

from edits.media.picture import Opening, PictureInvalid, Stripped, check_parts

_START: Final = b"\xff\xd8"
_END: Final = b"\xff\xd9"
_EOI, _SOS = 0xD9, 0xDA
_BARE: Final = range(0xD0, 0xD9)
"""Markers without a length: restarts and the start."""

_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_COMMON_FRAMES: Final = frozenset({0xC0, 0xC1, 0xC2})
"""Baseline, extended and progressive: what browsers show."""

_TABLES: Final = _FRAMES | {0xC4, 0xDB, 0xDC, 0xDD, _SOS}
_COLOUR: Final = {0xE0: b"JFIF\0", 0xE2: b"ICC_PROFILE\0", 0xEE: b"Adobe"}
"""The application segments that say how the pixels are coloured, by how each begins."""

_APP1: Final = 0xE1
_MOST_SCANS: Final = 64
"""Encoders write a dozen. A decoder passes over the whole picture for each, however few its bytes are."""

_MARKER: Final = re.compile(rb"\xff(?=[^\x00\xff])")
"""What stands before a marker is stray or fill, and passed over as decoders do."""

_SCAN_ENDS: Final = re.compile(rb"\xff(?=[^\x00\xd0-\xd7\xff])")
"""Not a stuffed byte, not a restart."""

_FILLINGS: Final = (b"\x55" * 4096, b"\xa6" * 4096)
"""Coded pixels that no picture lacks by chance: the two give different ones wherever any are missing."""

_Segment = tuple[int, int, int]


def opening(head: bytes) -> Opening | None:
    size: tuple[int, int] | None = None
    for marker, start, end in _segments(head):
        if marker in _FRAMES:
            if marker not in _COMMON_FRAMES:
                raise PictureInvalid("this kind of JPEG (lossless, hierarchical or arithmetic) is not accepted")
            if size or end - start < 10:
                raise PictureInvalid("the JPEG is damaged: it has two headers, or one that is too short")
            size = (
                int.from_bytes(head[start + 7 : start + 9], "big"),
                int.from_bytes(head[start + 5 : start + 7], "big"),
            )
        if marker in {_SOS, _EOI}:
            if size is None:
                raise PictureInvalid("the JPEG lacks its header or its pixels")
            return Opening(*size, pixels_at=start, trailer=_END)
    return None


def strip(data: bytes) -> Stripped:
    """Stray bytes between segments, and all bytes after the end, are dropped. Raises PictureInvalid."""
    kept, exif, scans, ended = [_START], b"", [], False
    for marker, start, end in _segments(data):
        body = data[start + 4 : start + 18]
        if marker == _APP1 and body.startswith(b"Exif\0"):
            exif = exif or data[start + 4 : end]
        if marker in _TABLES or (marker in _COLOUR and body.startswith(_COLOUR[marker])):
            kept.append(data[start:end])
        if marker == _SOS:
            scans.append(data[start:end])
        if len(scans) > _MOST_SCANS:
            raise PictureInvalid(f"the JPEG has more than {_MOST_SCANS} scans")
        ended = marker == _EOI
    if not ended and not _covers_all(kept, scans):
        raise PictureInvalid("the picture is cut short")
    pixels = b"".join(kept) if ended else b"".join(kept).rstrip(b"\xff")  # the half of a marker
    unended = () if ended else tuple(pixels + filling + _END for filling in _FILLINGS)
    return Stripped(data if len(pixels) + 2 == len(data) else pixels + _END, exif=exif, unended=unended)


def _segments(data: bytes) -> Iterator[_Segment]:
    """Marker, start and end of each complete segment to the end marker; that of a scan holds its coded pixels."""
    at, number = len(_START), 0
    while found := _MARKER.search(data, at):
        start = found.start()
        marker = data[start + 1]
        number += 1
        check_parts(number)
        if marker == _EOI:
            yield marker, start, start + 2
            return
        if marker < 0xC0 or marker in _BARE:
            at = start + 2
            continue
        length = int.from_bytes(data[start + 2 : start + 4], "big")
        at = start + 2 + length
        if at > len(data) or start + 4 > len(data):
            return
        if length < 2:
            raise PictureInvalid("the JPEG is damaged: a segment of it has no proper length")
        if marker == _SOS:
            found = _SCAN_ENDS.search(data, at)
            at = found.start() if found else len(data)
        yield marker, start, at


def _covers_all(kept: list[bytes], scans: list[bytes]) -> bool:
    """Whether the scans of a picture without an end marker hold every coefficient in every bit (T.81, G.1.1)."""
    frame = next((part for part in kept if part[:1] == b"\xff" and part[1] in _COMMON_FRAMES), b"")
    if not scans or len(frame) < 10:
        return False
    missing = {(component, place) for component in frame[10 : 10 + 3 * frame[9] : 3] for place in range(64)}
    for scan in scans:
        number = scan[4]
        first, last, low = scan[5 + 2 * number], scan[6 + 2 * number], scan[7 + 2 * number] & 0xF
        if low == 0:
            missing -= {(component, k) for component in scan[5 : 5 + 2 * number : 2] for k in range(first, last + 1)}
    return not missing
