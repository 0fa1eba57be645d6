"""PNG files of one channel, written without a library of images."""

import struct
import zlib

import numpy as np


def png(pixels: np.ndarray) -> bytes:
    """A grey image of 8 bits, uint8 ``[rows, columns]``."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def pixels_of(content: bytes) -> np.ndarray:
    """The pixels of a grey image of 8 bits whose rows are filtered in any way."""
    at, body, height, width = 8, b"", 0, 0
    while at < len(content):
        n, kind = struct.unpack_from(">I4s", content, at)
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack_from(">IIBB", content, at + 8)
            assert (depth, colour) == (8, 0)
        if kind == b"IDAT":
            body += content[at + 8 : at + 8 + n]
        at += n + 12
    rows = np.frombuffer(zlib.decompress(body), np.uint8).reshape(height, width + 1)
    out = np.zeros((height + 1, width + 1), np.uint8)
    for row, (kind, *values) in enumerate(rows, 1):
        for column, value in enumerate(values, 1):
            left, up, corner = int(out[row, column - 1]), int(out[row - 1, column]), int(out[row - 1, column - 1])
            distances = [abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)]
            nearest = (left, up, corner)[int(np.argmin(distances))]
            out[row, column] = (int(value) + [0, left, up, (left + up) // 2, nearest][kind]) % 256
    return out[1:, 1:]
