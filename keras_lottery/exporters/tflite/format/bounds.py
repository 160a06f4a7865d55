"""Bounds what a `.tflite` file unpacks to, before it is unpacked.

In a flatbuffer offsets may share a target and lengths may lie, so that a few bytes can describe
billions of tables. Honest files spend some bytes on each table and hold each string once, and
hardly share a vector of numbers.
"""

import struct
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tflite.errors import FlatbufferError

_SEGMENTS = {
    schema.SparseIndexVector.Int32Vector: "Int32Vector",
    schema.SparseIndexVector.Uint16Vector: "Uint16Vector",
    schema.SparseIndexVector.Uint8Vector: "Uint8Vector",
}
_OPTIONS = {schema.BuiltinOptions.VarHandleOptions: "VarHandleOptions"}
_OPTIONS_2 = {
    schema.BuiltinOptions2.StableHLOCompositeOptions: "StableHLOCompositeOptions",
    schema.BuiltinOptions2.StablehloCustomCallOptions: "StablehloCustomCallOptions",
}

# What costs time or memory to unpack or to read, by table and field number of the schema: strings,
# vectors of numbers by the bytes of one, a table, [vectors of tables], and {unions of tables},
# whose type is in the field before.
_COSTLY: dict[str, dict[int, Any]] = {
    "Model": {
        1: ["OperatorCode"],
        2: ["SubGraph"],
        3: str,
        4: ["Buffer"],
        5: 4,
        6: ["Metadata"],
        7: ["SignatureDef"],
        8: ["ExternalBufferGroup"],
        9: ["ExternalBuffer"],
    },
    "OperatorCode": {1: str},
    "SubGraph": {0: ["Tensor"], 1: 4, 2: 4, 3: ["Operator"], 4: str},
    "Tensor": {
        0: 4,
        3: str,
        4: "QuantizationParameters",
        6: "SparsityParameters",
        7: 4,
        9: ["VariantSubType"],
    },
    "VariantSubType": {0: 4},
    "QuantizationParameters": {0: 4, 1: 4, 2: 4, 3: 8},
    "SparsityParameters": {0: 4, 1: 4, 2: ["DimensionMetadata"]},
    "DimensionMetadata": {3: _SEGMENTS, 5: _SEGMENTS},
    "Int32Vector": {0: 4},
    "Uint16Vector": {0: 2},
    "Uint8Vector": {0: 1},
    "Operator": {1: 4, 2: 4, 4: _OPTIONS, 5: 1, 7: 1, 8: 4, 12: _OPTIONS_2},
    "VarHandleOptions": {0: str, 1: str},
    "StableHLOCompositeOptions": {0: str, 2: 1},
    "StablehloCustomCallOptions": {0: str, 2: str},
    "Buffer": {0: 1},
    "SignatureDef": {0: ["TensorMap"], 1: ["TensorMap"], 2: str},
    "TensorMap": {0: str},
    "Metadata": {0: str},
    "ExternalBufferGroup": {0: str},
    "ExternalBuffer": {3: str},
}

# The least that a table takes, with the reference to it: an operator has an input or an output, a
# tensor a shape or a name.
_TABLE_BYTES = {"Operator": 20, "Tensor": 16}
_OTHER_TABLE_BYTES = 8


def check(data: bytes) -> None:
    """Raises `FlatbufferError` if `data` describes more than it can hold."""
    # Small vectors may be shared in an honest file.
    budget, numbers = len(data), 2 * len(data)
    tables = [("Model", _number("<I", data, 0))]
    while tables:
        kind, table = tables.pop()
        budget -= _TABLE_BYTES.get(kind, _OTHER_TABLE_BYTES)
        for field, content in _COSTLY.get(kind, {}).items():
            reference = _field(data, table, field)
            if reference is None:
                continue
            if isinstance(content, dict):
                content = content.get(_union_type(data, table, field))
                if content is None:
                    continue
            target = _follow(data, reference)
            if isinstance(content, str):
                tables.append((content, target))
                continue
            length = _number("<I", data, target)
            if isinstance(content, int):
                numbers -= content * length
            elif content is str:
                budget -= length
            elif 8 * (len(tables) + length) <= budget:
                entries = range(target + 4, target + 4 + 4 * length, 4)
                tables += [(content[0], _follow(data, entry)) for entry in entries]
            else:
                budget = -1
            if budget < 0 or numbers < 0:
                raise FlatbufferError("Damaged: it describes more than its bytes can hold.")


def _field(data: bytes, table: int, field: int) -> int | None:
    """The position of a field of a table; None where the table lacks it."""
    vtable = table - _number("<i", data, table)
    slot = 4 + 2 * field
    if slot + 2 > _number("<H", data, vtable):
        return None
    offset = _number("<H", data, vtable + slot)
    return table + offset if offset else None


def _union_type(data: bytes, table: int, field: int) -> int:
    place = _field(data, table, field - 1)
    return 0 if place is None else _number("<B", data, place)


def _follow(data: bytes, reference: int) -> int:
    return reference + _number("<I", data, reference)


def _number(form: str, data: bytes, position: int) -> int:
    if not 0 <= position <= len(data) - struct.calcsize(form):
        raise FlatbufferError("Damaged: an offset leads outside it.")
    number: int = struct.unpack_from(form, data, position)[0]
    return number
