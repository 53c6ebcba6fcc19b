"""Undoes the `Content-Encoding` of a fetched body, under a cap: a small body may unpack to gigabytes."""

import zlib
from typing import Final

UNPACKED: Final = frozenset({"gzip", "x-gzip", "deflate"})
NOT_UNPACKED: Final = frozenset({"br", "zstd", "compress", "x-compress", "dcb", "dcz"})
"""Real encodings that this program does not read. All other values (`identity`, `aws-chunked`, `base64`, `utf-8`) are
labels that S3 and its kin keep beside plain bytes; browsers ignore them."""

_ANY_ZLIB: Final = 32 + zlib.MAX_WBITS  # gzip or zlib, by its first bytes
_RAW_DEFLATE: Final = -zlib.MAX_WBITS


class EncodingInvalid(Exception):
    """The bytes are not of the encoding that their sender declares, or are of one that is not read."""


def decoded(body: bytes, content_encoding: str, *, max_bytes: int) -> bytes:
    """`body` as it was before it was encoded; at most `max_bytes` + 1 bytes of it. Raises EncodingInvalid."""
    declared = [name.strip().lower() for name in content_encoding.split(",")]
    for name in reversed(declared):
        if name in NOT_UNPACKED:
            raise EncodingInvalid(f"the content encoding {name} is not supported")
        if name in UNPACKED and body:
            body = _unpacked(body, name, max_bytes + 1)
    return body


def _unpacked(packed: bytes, name: str, most: int) -> bytes:
    try:
        return _inflated(packed, _ANY_ZLIB, most)
    except zlib.error:
        if name != "deflate":
            raise EncodingInvalid(f"the answer is not {name}, though it says so") from None
    try:  # many servers send deflate without zlib's frame
        return _inflated(packed, _RAW_DEFLATE, most)
    except zlib.error:
        raise EncodingInvalid("the answer is not deflate, though it says so") from None


def _inflated(packed: bytes, window: int, most: int) -> bytes:
    """All members of a gzip file, up to `most` bytes. Raises zlib.error, also for one that breaks off."""
    unpacked = bytearray()
    while packed and len(unpacked) < most:
        member = zlib.decompressobj(window)
        unpacked += member.decompress(packed, most - len(unpacked))
        if not member.eof and len(unpacked) < most:
            raise zlib.error("it breaks off")
        packed = member.unused_data.lstrip(b"\0")  # tar pads with zeros
    return bytes(unpacked)
