"""Unpacks a `.tflite` file into the schema's objects, and never more than its bytes can hold.

In a flatbuffer offsets may share a target and lengths may lie, so that a few bytes can describe
billions of tables. Honest files spend some bytes on each table and hold each string once, and
hardly share a vector of numbers. So every table, string and vector is paid for before it is made.

The schema's own reader gives the same objects. It trusts every offset, and looks every field of
every table up anew; here the tables that share a list of fields, as most do, share what it says.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tflite.errors import FlatbufferError

_BOOL, _INT8, _UINT8 = struct.Struct("<?"), struct.Struct("<b"), struct.Struct("<B")
_UINT16, _INT32, _UINT32 = struct.Struct("<H"), struct.Struct("<i"), struct.Struct("<I")
_UINT64 = struct.Struct("<Q")

_BOOLS, _UINT8S, _UINT16S = np.dtype("?"), np.dtype("u1"), np.dtype("<u2")
_INT32S, _UINT32S, _INT64S, _FLOATS = (np.dtype(name) for name in ("<i4", "<u4", "<i8", "<f4"))


def _union(choices: type) -> dict[int, type]:
    """The classes of a union by the number that stands in the field before it."""
    named = {name: number for name, number in vars(choices).items() if isinstance(number, int)}
    return {number: getattr(schema, f"{name}T") for name, number in named.items() if number}


# The fields of the schema's tables in its order: a number, `str`, a vector of numbers, a table,
# a [vector of tables], and a {union of tables}, whose type is the field before; None for one that
# the schema gave up. A union's table that is not here holds a few numbers: the schema reads it.
_FIELDS: dict[type, dict[str, Any]] = {
    schema.ModelT: {
        "version": _UINT32,
        "operatorCodes": [schema.OperatorCodeT],
        "subgraphs": [schema.SubGraphT],
        "description": str,
        "buffers": [schema.BufferT],
        "metadataBuffer": _INT32S,
        "metadata": [schema.MetadataT],
        "signatureDefs": [schema.SignatureDefT],
        "externalBufferGroups": [schema.ExternalBufferGroupT],
        "externalBuffers": [schema.ExternalBufferT],
    },
    schema.OperatorCodeT: {
        "deprecatedBuiltinCode": _INT8,
        "customCode": str,
        "version": _INT32,
        "builtinCode": _INT32,
    },
    schema.SubGraphT: {
        "tensors": [schema.TensorT],
        "inputs": _INT32S,
        "outputs": _INT32S,
        "operators": [schema.OperatorT],
        "name": str,
        "debugMetadataIndex": _INT32,
    },
    schema.TensorT: {
        "shape": _INT32S,
        "type": _INT8,
        "buffer": _UINT32,
        "name": str,
        "quantization": schema.QuantizationParametersT,
        "isVariable": _BOOL,
        "sparsity": schema.SparsityParametersT,
        "shapeSignature": _INT32S,
        "hasRank": _BOOL,
        "variantTensors": [schema.VariantSubTypeT],
        "externalBuffer": _UINT32,
    },
    schema.VariantSubTypeT: {"shape": _INT32S, "type": _INT8, "hasRank": _BOOL},
    schema.QuantizationParametersT: {
        "min": _FLOATS,
        "max": _FLOATS,
        "scale": _FLOATS,
        "zeroPoint": _INT64S,
        "detailsType": _UINT8,
        "details": _union(schema.QuantizationDetails),
        "quantizedDimension": _INT32,
    },
    schema.SparsityParametersT: {
        "traversalOrder": _INT32S,
        "blockMap": _INT32S,
        "dimMetadata": [schema.DimensionMetadataT],
    },
    schema.DimensionMetadataT: {
        "format": _INT8,
        "denseSize": _INT32,
        "arraySegmentsType": _UINT8,
        "arraySegments": _union(schema.SparseIndexVector),
        "arrayIndicesType": _UINT8,
        "arrayIndices": _union(schema.SparseIndexVector),
    },
    schema.Int32VectorT: {"values": _INT32S},
    schema.Uint16VectorT: {"values": _UINT16S},
    schema.Uint8VectorT: {"values": _UINT8S},
    schema.OperatorT: {
        "opcodeIndex": _UINT32,
        "inputs": _INT32S,
        "outputs": _INT32S,
        "builtinOptionsType": _UINT8,
        "builtinOptions": _union(schema.BuiltinOptions),
        "customOptions": _UINT8S,
        "customOptionsFormat": _INT8,
        "mutatingVariableInputs": _BOOLS,
        "intermediates": _INT32S,
        "largeCustomOptionsOffset": _UINT64,
        "largeCustomOptionsSize": _UINT64,
        "builtinOptions2Type": _UINT8,
        "builtinOptions2": _union(schema.BuiltinOptions2),
        "debugMetadataIndex": _INT32,
    },
    schema.VarHandleOptionsT: {"container": str, "sharedName": str},
    schema.StableHLOCompositeOptionsT: {
        "name": str,
        "decompositionSubgraphIndex": _INT32,
        "compositeAttributes": _UINT8S,
        "compositeAttributesFormat": _INT8,
        "version": _INT32,
    },
    schema.StablehloCustomCallOptionsT: {
        "callTargetName": str,
        "hasSideEffect": _BOOL,
        "backendConfig": str,
        "apiVersion": _INT32,
        "calledComputations": _INT32S,
        "customAttributes": _UINT8S,
    },
    schema.BufferT: {"data": _UINT8S, "offset": _UINT64, "size": _UINT64},
    schema.SignatureDefT: {
        "inputs": [schema.TensorMapT],
        "outputs": [schema.TensorMapT],
        "signatureKey": str,
        "": None,
        "subgraphIndex": _UINT32,
    },
    schema.TensorMapT: {"name": str, "tensorIndex": _UINT32},
    schema.MetadataT: {"name": str, "buffer": _UINT32},
    schema.ExternalBufferGroupT: {"name": str},
    schema.ExternalBufferT: {
        "id": _UINT32,
        "group": _UINT32,
        "offset": _UINT64,
        "length": _UINT64,
        "packing": str,
    },
}

# The least that a table takes, with the reference to it: an operator has an input or an output
# beside its options, a tensor a shape or a name beside its buffer, a subgraph four lists, a sparse
# tensor the order of its axes and what stands along each.
_TABLE_BYTES = {
    schema.OperatorT: 24,
    schema.TensorT: 24,
    schema.SubGraphT: 24,
    schema.SparsityParametersT: 32,
    schema.DimensionMetadataT: 12,
}
_OTHER_TABLE_BYTES = 8

_TOO_MUCH = "Damaged: it describes more than its bytes can hold."


def unpack(data: bytes) -> schema.ModelT:
    """Unpacks a `.tflite` file as the schema's `ModelT.InitFromPackedBuf` does.

    Args:
        data: The file's bytes; vectors of numbers are views of them.

    Raises:
        FlatbufferError: The file describes more than its bytes can hold.
        Exception: Anything else that a damaged file makes of a reader.
    """
    return _Unpacking(data).table(schema.ModelT, 0)


class _Unpacking:
    """One reading of a file, and what it may still spend."""

    def __init__(self, data: bytes):
        self.data = data
        # Of bytes that hold tables and strings, and of those that hold vectors of numbers: small
        # vectors may be shared in an honest file.
        self._budget, self._numbers = len(data), 2 * len(data)
        # By table and list of fields: name, distance from the table's beginning, reader.
        self._present: dict[tuple[type, int], list[tuple[str, int, _Read]]] = {}

    def table(self, kind: type, position: int) -> Any:
        """The table to which the reference at a position leads."""
        return self._table(kind, self._follow(position))

    def tables(self, kind: type, position: int) -> list[Any]:
        """The vector of tables to which the reference at a position leads."""
        length, first = self._vector(position)
        if _OTHER_TABLE_BYTES * length > self._budget:
            raise FlatbufferError(_TOO_MUCH)
        references = np.frombuffer(self.data, _UINT32S, length, first).tolist()
        return [self._table(kind, first + 4 * i + far) for i, far in enumerate(references)]

    def numbers(self, dtype: np.dtype, position: int) -> np.ndarray:
        """The vector of numbers to which the reference at a position leads."""
        length, first = self._vector(position)
        self._numbers -= dtype.itemsize * length
        if self._numbers < 0:
            raise FlatbufferError(_TOO_MUCH)
        return np.frombuffer(self.data, dtype, length, first)

    def string(self, position: int) -> bytes:
        """The string to which the reference at a position leads."""
        length, first = self._vector(position)
        self._spend(length)
        return self.data[first : first + length]

    def _table(self, kind: type, start: int) -> Any:
        self._spend(_TABLE_BYTES.get(kind, _OTHER_TABLE_BYTES))
        if kind not in _FIELDS:
            return kind.InitFromBuf(self.data, start)  # type: ignore[attr-defined]
        made = kind()
        values = vars(made)
        key = kind, start - self._number(_INT32, start)
        present = self._present.get(key)
        if present is None:
            present = self._present[key] = self._listed(*key)
        for name, distance, read in present:
            values[name] = read(self, start + distance, values)
        return made

    def _listed(self, kind: type, start: int) -> list[tuple[str, int, "_Read"]]:
        """What a list of fields says: those that a table has, and where."""
        count = (self._number(_UINT16, start) - 3) // 2
        distances = struct.unpack_from(f"<{max(count, 0)}H", self.data, start + 4)
        return [
            (name, distance, read)
            for (name, read), distance in zip(_READERS[kind].items(), distances, strict=False)
            if distance and name
        ]

    def _vector(self, position: int) -> tuple[int, int]:
        """The length of the vector to which a reference leads, and where its entries begin."""
        start = self._follow(position)
        return self._number(_UINT32, start), start + 4

    def _follow(self, position: int) -> int:
        return position + self._number(_UINT32, position)

    def _number(self, form: struct.Struct, position: int) -> int:
        if not 0 <= position <= len(self.data) - form.size:
            raise FlatbufferError("Damaged: an offset leads outside it.")
        number: int = form.unpack_from(self.data, position)[0]
        return number

    def _spend(self, count: int) -> None:
        self._budget -= count
        if self._budget < 0:
            raise FlatbufferError(_TOO_MUCH)


# Reads the field at a position; it may look at the fields that its table has got so far.
_Read = Callable[[_Unpacking, int, Mapping[str, Any]], Any]


def _reader(name: str, content: Any) -> _Read:
    if isinstance(content, struct.Struct):
        return lambda file, position, _: content.unpack_from(file.data, position)[0]
    if isinstance(content, np.dtype):
        return lambda file, position, _: file.numbers(content, position)
    if isinstance(content, list):
        return lambda file, position, _: file.tables(content[0], position)
    if isinstance(content, dict):
        kind = f"{name}Type"
        return lambda file, position, values: (
            file.table(content[values[kind]], position) if values[kind] in content else None
        )
    if content is str:
        return lambda file, position, _: file.string(position)
    return lambda file, position, _: file.table(content, position)


_READERS = {
    kind: {name: _reader(name, content) for name, content in fields.items()}
    for kind, fields in _FIELDS.items()
}
