"""Bounds what a `.tflite` file unpacks to, before it is unpacked.

In a flatbuffer offsets may share a target and lengths may lie, so that a few bytes can describe
billions of tables. Honest files spend eight bytes on each table and hold each string once.
"""

import struct

from keras_lottery.exporters.tflite.errors import FlatbufferError

# What costs time or memory to unpack, by table and field number of the schema: strings, a table and
# [vectors of tables]. Vectors of numbers stay views of the file.
_COSTLY = {
    "Model": {
        1: ["OperatorCode"],
        2: ["SubGraph"],
        3: str,
        4: ["Buffer"],
        6: ["Metadata"],
        7: ["SignatureDef"],
        8: ["ExternalBufferGroup"],
        9: ["ExternalBuffer"],
    },
    "OperatorCode": {1: str},
    "SubGraph": {0: ["Tensor"], 3: ["Operator"], 4: str},
    "Tensor": {3: str, 6: "SparsityParameters", 9: ["VariantSubType"]},
    "SparsityParameters": {2: ["DimensionMetadata"]},
    "SignatureDef": {0: ["TensorMap"], 1: ["TensorMap"], 2: str},
    "TensorMap": {0: str},
    "Metadata": {0: str},
    "ExternalBufferGroup": {0: str},
    "ExternalBuffer": {3: str},
}


def check(data: bytes) -> None:
    """Raises `FlatbufferError` where `data` describes more tables and strings than it can hold."""
    budget = len(data)
    tables = [("Model", _number("<I", data, 0))]
    while tables:
        kind, table = tables.pop()
        budget -= 8
        for field, content in _COSTLY.get(kind, {}).items():
            reference = _field(data, table, field)
            if reference is None:
                continue
            target = _follow(data, reference)
            if isinstance(content, str):
                tables.append((content, target))
                continue
            length = _number("<I", data, target)
            if content is str:
                budget -= length
            elif 8 * (len(tables) + length) <= budget:
                entries = range(target + 4, target + 4 + 4 * length, 4)
                tables += [(content[0], _follow(data, entry)) for entry in entries]
            else:
                budget = -1
            if budget < 0:
                raise FlatbufferError("Damaged: it describes more than its bytes can hold.")


def _field(data, table, field):
    """Where a table keeps a field, None where it has none."""
    vtable = table - _number("<i", data, table)
    slot = 4 + 2 * field
    if slot + 2 > _number("<H", data, vtable):
        return None
    offset = _number("<H", data, vtable + slot)
    return table + offset if offset else None


def _follow(data, reference):
    return reference + _number("<I", data, reference)


def _number(form, data, position):
    if not 0 <= position <= len(data) - struct.calcsize(form):
        raise FlatbufferError("Damaged: an offset leads outside it.")
    return struct.unpack_from(form, data, position)[0]
