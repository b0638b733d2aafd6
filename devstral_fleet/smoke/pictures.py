"""Pictures that the smoke checks ask about: one colour each, made here."""

import base64
import struct
import zlib
from typing import Any

SIDE = 56
"""Pixels. Devstral's image encoder takes squares of 28."""
COLOURS = {"red": (255, 0, 0), "blue": (0, 0, 255)}


def png(colour: tuple[int, int, int], side: int = SIDE) -> bytes:
    """Return a square PNG, 8 bits for each of red, green and blue. Source: PNG specification, third edition, 5.2."""
    rows = (b"\0" + bytes(colour) * side) * side
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)


def question(text: str) -> dict[str, Any]:
    """Return a user's message about all of COLOURS, a picture each."""
    encoded = (base64.b64encode(png(colour)).decode() for colour in COLOURS.values())
    pictures = ({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{each}"}} for each in encoded)
    return {"role": "user", "content": [{"type": "text", "text": text}, *pictures]}


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
