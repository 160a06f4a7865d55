"""The ticket file: `write(path, encode(masks, values, metadata))`, `decode(memory_map(path))`.

A ticket file is a safetensors file, which any safetensors reader opens:

    8 bytes    length of the header, little endian
    header     JSON: dtype, shape and place of each tensor; in `__metadata__` another JSON text
    data       "mask/<kernel>": the mask's bits, packed eight to a byte (uint8)
               "value/<variable>": the variable's value, in its own dtype

The text in `__metadata__` holds the format's version, the shape of every mask, the order of the
variables, the user's metadata, and a SHA-256 digest of all of this and of every tensor: `decode`
returns what `encode` was given, or raises.
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
import os
import stat
from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np
import safetensors.numpy

from keras_lottery.core import atomic_file
from keras_lottery.tickets import foreign_file

VERSION = 1

# A header holds about 100 bytes a variable and the run's history: kilobytes. The limit is checked
# before anything is parsed, so that a foreign file's first eight bytes cannot ask for gigabytes.
MAX_HEADER_BYTES = 16 * 2**20

# Every dtype that a Keras variable may have.
_DTYPES = {
    "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
    "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
    "I64": np.dtype(np.int64),
    "I32": np.dtype(np.int32),
    "I16": np.dtype(np.int16),
    "I8": np.dtype(np.int8),
    "U64": np.dtype(np.uint64),
    "U32": np.dtype(np.uint32),
    "U16": np.dtype(np.uint16),
    "U8": np.dtype(np.uint8),
    "BOOL": np.dtype(np.bool_),
}

Arrays = dict[str, np.ndarray]


class TicketError(ValueError):
    """A ticket, or the file that should hold one, is damaged, foreign or does not fit."""


def encode(
    masks: Mapping[str, np.ndarray], values: Mapping[str, np.ndarray], metadata: Mapping[str, Any]
) -> bytes:
    """Return the bytes of a ticket file; equal tickets have equal bytes.

    Args:
        masks: Boolean arrays by kernel name.
        values: Arrays by variable name, of any dtype a Keras variable may have.
        metadata: A dict that `json.dumps` accepts; tuples come back as lists, keys as strings.

    Returns:
        Bytes for `write`.

    Raises:
        TicketError: If a dtype cannot be stored, or `metadata` is not JSON or too long.
    """
    tensors = {f"mask/{name}": np.packbits(mask) for name, mask in masks.items()}
    tensors |= {f"value/{name}": np.asarray(value, order="C") for name, value in values.items()}
    for name, tensor in tensors.items():
        if tensor.dtype not in _DTYPES.values():
            raise TicketError(f"cannot store {name!r}: its dtype is {tensor.dtype}.")
    content = {
        "version": VERSION,
        "masks": {name: mask.shape for name, mask in masks.items()},
        "values": list(values),
        "metadata": metadata,
    }
    try:
        content = json.loads(json.dumps(content), object_pairs_hook=_without_duplicates)
    except (RecursionError, TypeError, ValueError) as error:
        raise TicketError(f"the ticket's metadata is not JSON: {error}.") from error
    # One key only: safetensors writes several of them in random order.
    text = json.dumps({"sha256": _digest(content, tensors), **content})
    data = safetensors.numpy.save(tensors, {"ticket": text})
    if int.from_bytes(data[:8], "little") > MAX_HEADER_BYTES:
        raise TicketError(
            f"the ticket's metadata is too long: the limit is {MAX_HEADER_BYTES:,} bytes."
        )
    return data


def decode(data: bytes | mmap.mmap) -> tuple[Arrays, Arrays, dict[str, Any]]:
    """Read a ticket from the bytes of its file.

    Args:
        data: What `encode` returned, in memory or memory-mapped.

    Returns:
        The masks; the values, as read-only views of `data`; the metadata.

    Raises:
        TicketError: If `data` is foreign, damaged, or of another format version.
    """
    if (kind := foreign_file.describe(data)) is not None:
        raise TicketError(f"not a ticket, but {kind}.")
    header, start = _header(data)
    own = header.pop("__metadata__", None)
    if not isinstance(own, dict) or not isinstance(own.get("ticket"), str):
        raise TicketError("a safetensors file, but not a ticket.")
    content = _json_object(own["ticket"])
    if content.get("version") != VERSION:
        raise TicketError(
            f"its format version is {content.get('version')!r}; this keras_lottery reads {VERSION}."
        )
    tensors = _tensors(header, data, start)
    expected = content.pop("sha256", None)
    if _digest(content, tensors) != expected:
        raise TicketError("damaged: the content does not have the SHA-256 digest it states.")
    try:
        masks = {
            name: _unpacked(tensors.pop(f"mask/{name}"), shape)
            for name, shape in content["masks"].items()
        }
        values = {name: tensors.pop(f"value/{name}") for name in content["values"]}
        metadata = dict(content["metadata"])
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise TicketError(f"not a ticket: its description is inconsistent: {error!r}.") from error
    if tensors:
        raise TicketError(f"not a ticket: its description leaves out {min(tensors)!r}.")
    return masks, values, metadata


def write(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file, wholly or not at all, as `atomic_file.write` does.

    Args:
        path: The file. An existing one is replaced and keeps its mode.
        data: Its content.

    Raises:
        TicketError: If the file cannot be written. An existing file then stays as it was.
    """
    path = _checked(path)
    try:
        atomic_file.write(path, data)
    except (OSError, ValueError) as error:
        raise TicketError(f"cannot be written: {_reason(error)}.") from error


def memory_map(path: str | os.PathLike[str]) -> mmap.mmap:
    """Map a file into memory, whose bytes are read when they are used.

    Args:
        path: The file.

    Returns:
        A read-only memory map.

    Raises:
        TicketError: If the file is missing, unreadable, empty or no regular file.
    """
    path = _checked(path)
    try:
        # Before it is opened: that would wait for a writer of a FIFO, and make a device act.
        mode = os.stat(path).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise TicketError("not a regular file, but a FIFO, a socket or a device.")
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size == 0:  # mmap refuses it less clearly
                raise TicketError("the file is empty.")
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except TicketError:
        raise
    except (OSError, ValueError) as error:
        raise TicketError(f"cannot be read: {_reason(error)}.") from error


def _checked(path: str | os.PathLike[str]) -> str:
    """A path as text; an integer would be taken for the number of an open file."""
    try:
        path = os.fsdecode(path)
    except TypeError as error:
        raise TicketError(
            f"`path` must be a string or a path, received {type(path).__name__}."
        ) from error
    if not path:
        raise TicketError("`path` is empty; name a file.")
    return path


def _reason(error: OSError | ValueError) -> str:
    # A path with a NUL character or half a character is a ValueError.
    return getattr(error, "strerror", None) or str(error)


def _digest(content: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> str:
    """SHA-256, in hexadecimal, of a JSON object and named arrays, wherever they lie."""
    result = hashlib.sha256(json.dumps(content).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        result.update(json.dumps([name, tensor.dtype.name, tensor.shape]).encode())
        result.update(tensor.reshape(-1).view(np.uint8).data)
    return result.hexdigest()


def _header(data: bytes | mmap.mmap) -> tuple[dict[str, Any], int]:
    """The header, and where the data begins."""
    length = int.from_bytes(data[:8], "little")
    if length > MAX_HEADER_BYTES:
        raise TicketError(
            f"not a ticket: it announces a header of {length:,} bytes, "
            f"and {MAX_HEADER_BYTES:,} is the limit."
        )
    if len(data) < 8 + length:
        raise TicketError(f"not a ticket, or truncated: {len(data)} bytes do not hold a header.")
    return _json_object(data[8 : 8 + length]), 8 + length


def _json_object(text: str | bytes) -> dict[str, Any]:
    try:
        content = json.loads(text, object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise TicketError(f"not a ticket, or damaged: no JSON in its header: {error}.") from error
    if not isinstance(content, dict):
        raise TicketError("not a ticket: its header is not a JSON object.")
    return content


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, in which other readers may take another one of two equal keys."""
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} stands twice in an object")
    return content


def _tensors(header: dict[str, Any], data: bytes | mmap.mmap, start: int) -> Arrays:
    """Views of all tensors, which must fill the data without a gap or an overlap."""
    tensors = {}
    end = start
    try:
        for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
            tensor, offsets = _tensor(data, end, entry["dtype"], entry["shape"])
            if offsets != [offset + start for offset in entry["data_offsets"]]:
                raise ValueError(f"{name!r} is misplaced")
            tensors[name] = tensor
            end = offsets[1]
    except (KeyError, OverflowError, TypeError, ValueError) as error:
        raise TicketError(f"truncated or damaged: its tensors do not fit: {error}.") from error
    if end != len(data):
        raise TicketError(f"damaged: {len(data) - end} bytes after the last tensor.")
    return tensors


def _tensor(
    data: bytes | mmap.mmap, begin: int, dtype_name: str, shape: list[int]
) -> tuple[np.ndarray, list[int]]:
    dtype, count = _DTYPES[dtype_name], _count(shape)
    tensor = np.frombuffer(data, dtype, count, begin) if count else np.empty(0, dtype)
    return tensor.reshape(shape), [begin, begin + count * dtype.itemsize]


def _count(shape: list[int]) -> int:
    # A negative size would have NumPy infer it; True is an int.
    if not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError(f"the shape {shape} is not one")
    return math.prod(shape)


def _unpacked(packed: np.ndarray, shape: list[int]) -> np.ndarray:
    count = _count(shape)
    if packed.shape != (-(-count // 8),):
        raise ValueError(f"a mask of shape {shape} does not have {packed.shape} bytes")
    return np.unpackbits(packed, count=count).view(np.bool_).reshape(shape)
