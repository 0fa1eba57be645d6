"""The part of CBOR (RFC 8949) that the metadata of a pack of tensors use: numbers, texts, lists, maps, constants.

Tags, byte strings and items of indefinite length are refused: a general library would build objects of them.
"""

import struct
from typing import Any

_MAX_DEPTH = 16
_FLOATS = {25: ">e", 26: ">f", 27: ">d"}
_CONSTANTS = {20: False, 21: True, 22: None}


class CborError(ValueError):
    """Bytes that are not the CBOR that is expected."""


def decode(data: bytes) -> Any:
    """The one item that ``data`` is."""
    try:
        value, end = _item(data, 0, 0)
    except (IndexError, UnicodeDecodeError, struct.error) as error:
        raise CborError(f"its metadata are no CBOR: {error}") from error
    if end != len(data):
        raise CborError(f"its metadata end at byte {end} of {len(data)}")
    return value


def _item(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    """The item that begins at a byte, and where the next one begins."""
    if depth > _MAX_DEPTH:
        raise CborError("its metadata are nested too deeply")
    major, low = data[at] >> 5, data[at] & 31
    if major == 7:
        if low in _CONSTANTS:
            return _CONSTANTS[low], at + 1
        if low in _FLOATS:
            size = struct.calcsize(_FLOATS[low])
            return struct.unpack_from(_FLOATS[low], data, at + 1)[0], at + 1 + size
        raise CborError(f"its metadata have a value of kind {low}")
    number, at = _number(data, at, low)
    match major:
        case 0:
            return number, at
        case 1:
            return -1 - number, at
        case 3:
            if number > len(data) - at:
                raise CborError("its metadata have a text that goes beyond their end")
            return data[at : at + number].decode(), at + number
        case 4:
            values = []
            for _ in range(number):
                value, at = _item(data, at, depth + 1)
                values.append(value)
            return values, at
        case 5:
            pairs = {}
            for _ in range(number):
                key, at = _item(data, at, depth + 1)
                if not isinstance(key, str) or key in pairs:
                    raise CborError(f"its metadata have the key {key!r:.40}, expected a new text")
                pairs[key], at = _item(data, at, depth + 1)
            return pairs, at
    raise CborError(f"its metadata have an item of type {major}")


def _number(data: bytes, at: int, low: int) -> tuple[int, int]:
    """The number beside an item's type, and the byte after it."""
    if low < 24:
        return low, at + 1
    if low > 27:
        raise CborError("its metadata have an item of indefinite length")
    end = at + 1 + (1 << (low - 24))
    if end > len(data):
        raise CborError("its metadata end within a number")
    return int.from_bytes(data[at + 1 : end], "big"), end
