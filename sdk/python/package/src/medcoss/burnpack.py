"""Reading of ``model.bpk``: Burn's pack format, version 1.

A header of 10 bytes (magic, version, size of the metadata), metadata in CBOR (a map of tensors with type, shape and
place), and values from the next multiple of 256 bytes on. Every size is compared with the file before values are read.
"""

import math
import struct
from collections.abc import Iterable
from typing import Any

import numpy as np

from medcoss.cbor import CborError, decode
from medcoss.confined import File
from medcoss.errors import DamagedFileError, RunError, UnsupportedError

_HEADER = struct.Struct("<IHI")
_MAGIC = 0x4255524E
_VERSION = 1
_ALIGNMENT = 256
_MAX_METADATA = 64 << 20


def read_tensors(file: File, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """Float32 arrays of a pack by their names; ``names`` selects some, all of which have to be there."""
    magic, version, n_metadata = _HEADER.unpack(file.read_at(0, _HEADER.size))
    if magic != _MAGIC:
        raise DamagedFileError(f"{file.name} is damaged: it does not begin as a pack of tensors does")
    if version > _VERSION or n_metadata > _MAX_METADATA:
        raise UnsupportedError(f"{file.name} has version {version} and {n_metadata} bytes of metadata")
    try:
        metadata = decode(file.read_at(_HEADER.size, n_metadata))
    except CborError as error:
        raise DamagedFileError(f"{file.name} is damaged: {error}") from error
    tensors = metadata.get("tensors") if isinstance(metadata, dict) else None
    if not isinstance(tensors, dict):
        raise DamagedFileError(f"{file.name} is damaged: its metadata list no tensors")
    start = -(-(_HEADER.size + n_metadata) // _ALIGNMENT) * _ALIGNMENT
    places = {_path(name): tensor for name, tensor in tensors.items()}
    wanted = list(places if names is None else names)
    for name in wanted:
        if name not in places:
            raise RunError(f"{file.name} has no parameter {name}")
    return {name: _read(file, start, name, places[name]) for name in wanted}


def _path(name: str) -> str:
    """Path of a parameter in the model. Packs name the variants of an enum as well: ``embedders.0.Tokens.types``."""
    return ".".join(part for part in name.split(".") if not part[:1].isupper())


def _read(file: File, start: int, name: str, tensor: Any) -> np.ndarray:
    tensor = tensor if isinstance(tensor, dict) else {}
    shape, place, dtype = (tensor.get(key) for key in ("shape", "data_offsets", "dtype"))
    if dtype != "F32":
        raise UnsupportedError(f"{file.name}: parameter {name} has the type {dtype!r:.40}, expected F32")
    if not (_is_sizes(shape) and _is_sizes(place) and len(place) == 2 and place[1] - place[0] == 4 * math.prod(shape)):
        raise DamagedFileError(f"{file.name} is damaged: parameter {name} has the shape {shape!r:.80} in {place!r:.80}")
    values = np.frombuffer(file.read_at(start + place[0], place[1] - place[0]), "<f4").reshape(shape)
    if not np.isfinite(values).all():
        raise DamagedFileError(f"{file.name} is damaged: parameter {name} has values that are not finite")
    return values


def _is_sizes(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and value >= 0 for value in values)
