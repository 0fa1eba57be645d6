"""Packs of tensors that state what is not so."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medcoss import DamagedFileError, RunError, UnsupportedError
from medcoss.burnpack import read_tensors
from medcoss.confined import Folder


def cbor(value: Any) -> bytes:
    """CBOR of numbers, texts, lists and maps."""

    def head(major: int, number: int) -> bytes:
        return bytes([major << 5 | 27]) + struct.pack(">Q", number)

    if isinstance(value, dict):
        return head(5, len(value)) + b"".join(cbor(part) for pair in value.items() for part in pair)
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(cbor, value))
    return head(3, len(value)) + value.encode() if isinstance(value, str) else head(0, value)


def pack(tensors: dict[str, Any], values: bytes, magic: int = 0x4255524E, version: int = 1) -> bytes:
    metadata = cbor({"tensors": tensors})
    begun = struct.pack("<IHI", magic, version, len(metadata)) + metadata
    return begun.ljust(-(-len(begun) // 256) * 256, b"\0") + values


def tensor(shape: list[int], start: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end], "param_id": 2**64 - 1}


VALUES = np.arange(6, dtype="<f4").tobytes()


@pytest.fixture
def read(tmp_path: Path) -> Any:
    def of(content: bytes, names: list[str] | None = None) -> dict[str, np.ndarray]:
        (tmp_path / "model.bpk").write_bytes(content)
        with Folder(tmp_path).opened("model.bpk") as file:
            return read_tensors(file, names)

    return of


def test_tensors_are_read_by_their_paths(read: Any) -> None:
    found = read(pack({"embedders.0.Tokens.types": tensor([2, 3], 0, 24)}, VALUES))
    assert found["embedders.0.types"].tolist() == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(RunError, match="no parameter other"):
        read(pack({"a": tensor([1], 0, 4)}, VALUES), ["other"])


@pytest.mark.parametrize(
    "wrong",
    [
        tensor([2, 3], 0, 20),
        tensor([2, 3], 4, 28),
        tensor([2**40, 2**40], 0, 24),
        tensor([2**62], 0, 2**64 - 4),
        tensor([6], 2**63, 2**63 + 24),
        tensor([6], 24, 0),
        {"dtype": "F32", "shape": "6", "data_offsets": [0, 24]},
        {"dtype": "F32", "shape": [6], "data_offsets": [0]},
        7,
    ],
)
def test_sizes_are_compared_with_the_file(read: Any, wrong: Any) -> None:
    with pytest.raises((DamagedFileError, UnsupportedError)):
        read(pack({"a": wrong}, VALUES))


def test_other_files_types_and_values_are_named(read: Any) -> None:
    with pytest.raises(DamagedFileError, match="does not begin as a pack"):
        read(pack({}, VALUES, magic=7))
    with pytest.raises(UnsupportedError, match="version 2"):
        read(pack({}, VALUES, version=2))
    with pytest.raises(UnsupportedError, match="type 'F16', expected F32"):
        read(pack({"a": tensor([6], 0, 12, "F16")}, VALUES))
    with pytest.raises(DamagedFileError, match="not finite"):
        read(pack({"a": tensor([1], 0, 4)}, np.array([np.nan], "<f4").tobytes()))
    for cut in range(len(pack({"a": tensor([6], 0, 24)}, VALUES))):
        with pytest.raises((DamagedFileError, UnsupportedError)):
            read(pack({"a": tensor([6], 0, 24)}, VALUES)[:cut])
