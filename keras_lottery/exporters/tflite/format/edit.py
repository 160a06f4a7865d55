"""Adds tensors and operators to a parsed TFLite file, and drops what is unused."""

from collections.abc import Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tflite.format import flatbuffer, levels, signatures

# The codes above this one do not fit into the schema's first, one-byte field for them.
_PLACEHOLDER = schema.BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES

# How the names begin of constants that Keras has no name for; a number follows.
UNNAMED = b"constant_"


def add_tensor(
    file: schema.ModelT,
    subgraph: schema.SubGraphT,
    shape: Sequence[int],
    kind: int,
    values: np.ndarray | None = None,
    name: bytes | None = b"",
) -> int:
    """Adds a tensor to a subgraph.

    Args:
        file: The `ModelT`.
        subgraph: One of its subgraphs.
        shape: The shape, integers.
        kind: Its `schema.TensorType`.
        values: An array for a constant, or `None`.
        name: Its name, `bytes`.

    Returns:
        The tensor's index.
    """
    tensor = schema.TensorT()
    tensor.shape, tensor.type, tensor.name = [int(size) for size in shape], kind, name
    tensor.buffer = 0 if values is None else add_buffer(file, values)
    subgraph.tensors.append(tensor)
    return len(subgraph.tensors) - 1


def add_buffer(file: schema.ModelT, values: np.ndarray) -> int:
    """Adds a buffer with an array's bytes; returns its index."""
    buffer = schema.BufferT()
    buffer.data = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
    file.buffers.append(buffer)
    return len(file.buffers) - 1


def operator(
    file: schema.ModelT,
    builtin: int,
    inputs: Sequence[int],
    outputs: Sequence[int],
    version: int = 1,
    options: object | None = None,
) -> schema.OperatorT:
    """Makes an operator; the caller places it.

    Args:
        file: The `ModelT`. It gains the operator's code if it lacks it.
        builtin: Its `schema.BuiltinOperator`.
        inputs: Indices of tensors.
        outputs: Indices of tensors.
        version: The version by which runtimes choose a kernel.
        options: Its options, a schema object such as `schema.Conv2DOptionsT`, or `None`.

    Returns:
        An `OperatorT`.
    """
    made = schema.OperatorT()
    made.opcodeIndex = operator_code(file, builtin, version)
    made.inputs, made.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
    if options is not None:
        kind = type(options).__name__.removesuffix("T")
        made.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
        made.builtinOptions = options
    return made


def operator_code(file: schema.ModelT, builtin: int, version: int) -> int:
    """The index of an operator's code and version in the file, which gains them if they are new."""
    for index, code in enumerate(file.operatorCodes):
        if code.builtinCode == builtin and code.version == version:
            return index
    code = schema.OperatorCodeT()
    code.builtinCode, code.version = builtin, version
    code.deprecatedBuiltinCode = min(builtin, _PLACEHOLDER)
    file.operatorCodes.append(code)
    return len(file.operatorCodes) - 1


def custom_code(file: schema.ModelT, name: str) -> int:
    """The index of a custom operator's code in the file, which gains it if it is new."""
    for index, code in enumerate(file.operatorCodes):
        if code.customCode == name.encode():
            return index
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode, code.version = name.encode(), 1
    file.operatorCodes.append(code)
    return len(file.operatorCodes) - 1


def drop_unused(file: schema.ModelT) -> None:
    """Drops what computes nothing: metadata, most names, and unused tensors, codes and buffers.

    Equal constants share a buffer. The names of inputs, outputs and weights stay, for whoever reads
    the file later. The signature follows its tensors.
    """
    file.metadata, file.metadataBuffer, file.description = None, None, None
    for number, subgraph in enumerate(file.subgraphs):
        subgraph.name = None
        numbers = drop_tensors(subgraph)
        if number == 0:
            signatures.renumber(file, numbers)
        ends = {int(i) for i in (*subgraph.inputs, *subgraph.outputs)}
        for index, tensor in enumerate(subgraph.tensors):
            constant = flatbuffer.length(file.buffers[tensor.buffer])
            # A vector that Keras has no name for is a bias or a shape.
            vector = len(levels.shape(tensor)) < 2 and (tensor.name or b"").startswith(UNNAMED)
            if index not in ends and (vector or not constant):
                tensor.name = None
    share_buffers(file)
    _drop_codes(file)


def drop_tensors(subgraph: schema.SubGraphT) -> dict[int, int]:
    """Drops the tensors that no operator reads or writes; the others are numbered anew.

    Returns:
        `dict`: index before -> index now.
    """
    used = {int(i) for i in (*subgraph.inputs, *subgraph.outputs)}
    for each in subgraph.operators:
        used.update(int(i) for i in (*each.inputs, *each.outputs))
        used.update(int(i) for i in (each.intermediates if each.intermediates is not None else ()))
    kept = sorted(used - {-1})
    renumbered = {old: new for new, old in enumerate(kept)} | {-1: -1}

    def renumber(indices: Sequence[int]) -> np.ndarray:
        return np.array([renumbered[int(i)] for i in indices], np.int32)

    subgraph.tensors = [subgraph.tensors[i] for i in kept]
    subgraph.inputs, subgraph.outputs = renumber(subgraph.inputs), renumber(subgraph.outputs)
    for each in subgraph.operators:
        each.inputs, each.outputs = renumber(each.inputs), renumber(each.outputs)
        if each.intermediates is not None:
            each.intermediates = renumber(each.intermediates)
    return renumbered


def share_buffers(file: schema.ModelT) -> None:
    """Keeps each buffer that a tensor refers to, and of equal buffers one."""
    # The schema wants the first buffer empty; every tensor without values refers to it.
    shared, buffers = {b"": 0}, [schema.BufferT()]
    for subgraph in file.subgraphs:
        for tensor in subgraph.tensors:
            buffer = file.buffers[tensor.buffer]
            content = bytes(buffer.data) if flatbuffer.length(buffer) else b""
            if content not in shared:
                shared[content] = len(buffers)
                buffers.append(buffer)
            tensor.buffer = shared[content]
    file.buffers = buffers


def _drop_codes(file: schema.ModelT) -> None:
    operators = [each for subgraph in file.subgraphs for each in subgraph.operators]
    kept = sorted({each.opcodeIndex for each in operators})
    for each in operators:
        each.opcodeIndex = kept.index(each.opcodeIndex)
    file.operatorCodes = [file.operatorCodes[i] for i in kept]
