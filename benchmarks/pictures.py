"""A PNG of a wanted size, always the same: noise, so that nothing on its way can make it smaller."""

import math
import random
import struct
import zlib
from typing import Final

IDAT_BYTES: Final = 32 * 1024


def picture(wanted: int) -> bytes:
    """A whole and valid file of nearly `wanted` bytes, a little less."""
    side = max(8, math.isqrt(max(0, wanted - 200) * 99 // 300))
    noise = random.Random(side)
    rows = b"".join(b"\0" + noise.randbytes(3 * side) for _ in range(side))
    packed = zlib.compress(rows, 0)
    parts = [_chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))]
    parts += [_chunk(b"IDAT", packed[at : at + IDAT_BYTES]) for at in range(0, len(packed), IDAT_BYTES)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
