"""PNG files of uint8 ``[H, W, 3]`` pictures, as the PNG specification (W3C, section 5) says.

No library that is needed anyway writes them.
"""

import struct
import zlib

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def encode(picture: np.ndarray) -> bytes:
    """Write a picture."""
    height, width, _ = picture.shape
    unfiltered = np.pad(picture.reshape(height, -1), ((0, 0), (1, 0)))  # filter 0 in every row
    return _file(width, height, zlib.compress(unfiltered.tobytes(), 9))


def decode(file: bytes) -> np.ndarray:
    """Read what ``encode`` wrote, on this machine or another; ``ValueError`` for any other file."""
    try:
        width, height = struct.unpack(">II", file[16:24])
        (length,) = struct.unpack(">I", file[33:37])
        body = file[41 : 41 + length]
        if file != _file(width, height, body):
            raise ValueError("it has other chunks")
        rows = np.frombuffer(zlib.decompress(body), np.uint8).reshape(height, 1 + 3 * width)
    except (struct.error, zlib.error, ValueError) as error:
        raise ValueError(f"not a PNG file of encode's: {error}") from error
    return rows[:, 1:].reshape(height, width, 3)


def _file(width: int, height: int, body: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)
