"""Adding tensors and operators to a TFLite model's schema objects, and dropping what is unused."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tflite.format import flatbuffer, levels, signatures

# The codes above this one do not fit into the schema's first, one-byte field for them.
_PLACEHOLDER = schema.BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES

# How the names of constants begin for which the model has none; a number follows.
UNNAMED = b"constant_"


def add_tensor(model, subgraph, shape, kind, values=None, name=b""):
    """Adds a tensor to a subgraph.

    Args:
        model: The `ModelT`.
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
    tensor.buffer = 0 if values is None else add_buffer(model, values)
    subgraph.tensors.append(tensor)
    return len(subgraph.tensors) - 1


def add_buffer(model, values):
    """Adds a buffer with an array's bytes; returns its index."""
    buffer = schema.BufferT()
    buffer.data = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def operator(model, builtin, inputs, outputs, version=1, options=None):
    """A new operator; the caller places it.

    Args:
        model: The `ModelT`; gains the operator's code if it lacks it.
        builtin: Its `schema.BuiltinOperator`.
        inputs: Indices of tensors.
        outputs: Indices of tensors.
        version: The version by which runtimes choose a kernel.
        options: Its options, a schema object such as `schema.Conv2DOptionsT`, or `None`.

    Returns:
        An `OperatorT`.
    """
    made = schema.OperatorT()
    made.opcodeIndex = operator_code(model, builtin, version)
    made.inputs, made.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
    if options is not None:
        kind = type(options).__name__.removesuffix("T")
        made.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
        made.builtinOptions = options
    return made


def operator_code(model, builtin, version):
    """The index of an operator's code and version in the model, added if it is new."""
    for index, code in enumerate(model.operatorCodes):
        if code.builtinCode == builtin and code.version == version:
            return index
    code = schema.OperatorCodeT()
    code.builtinCode, code.version = builtin, version
    code.deprecatedBuiltinCode = min(builtin, _PLACEHOLDER)
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def custom_code(model, name):
    """The index of a custom operator's code in the model, added if it is new."""
    for index, code in enumerate(model.operatorCodes):
        if code.customCode == name.encode():
            return index
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode, code.version = name.encode(), 1
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def drop_unused(model):
    """Drops what computes nothing: names, notes, and tensors, codes and buffers without a use.

    Constants that are equal share a buffer. The names of inputs, outputs and weights stay, for
    whoever reads the file later, and the signature follows its tensors.
    """
    model.metadata, model.metadataBuffer, model.description = None, None, None
    for number, subgraph in enumerate(model.subgraphs):
        subgraph.name = None
        numbers = drop_tensors(subgraph)
        if number == 0:
            signatures.renumber(model, numbers)
        ends = {int(i) for i in (*subgraph.inputs, *subgraph.outputs)}
        for index, tensor in enumerate(subgraph.tensors):
            constant = flatbuffer.length(model.buffers[tensor.buffer])
            # Of what has no name of the model's, vectors are biases and shapes.
            vector = len(levels.shape(tensor)) < 2 and (tensor.name or b"").startswith(UNNAMED)
            if index not in ends and (vector or not constant):
                tensor.name = None
    share_buffers(model)
    _drop_codes(model)


def drop_tensors(subgraph):
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

    def renumber(indices):
        return np.array([renumbered[int(i)] for i in indices], np.int32)

    subgraph.tensors = [subgraph.tensors[i] for i in kept]
    subgraph.inputs, subgraph.outputs = renumber(subgraph.inputs), renumber(subgraph.outputs)
    for each in subgraph.operators:
        each.inputs, each.outputs = renumber(each.inputs), renumber(each.outputs)
        if each.intermediates is not None:
            each.intermediates = renumber(each.intermediates)
    return renumbered


def share_buffers(model):
    """Keeps the buffers that a tensor refers to, each once."""
    # The schema wants the first buffer empty; every tensor without values refers to it.
    shared, buffers = {b"": 0}, [schema.BufferT()]
    for subgraph in model.subgraphs:
        for tensor in subgraph.tensors:
            buffer = model.buffers[tensor.buffer]
            content = bytes(buffer.data) if flatbuffer.length(buffer) else b""
            if content not in shared:
                shared[content] = len(buffers)
                buffers.append(buffer)
            tensor.buffer = shared[content]
    model.buffers = buffers


def _drop_codes(model):
    operators = [each for subgraph in model.subgraphs for each in subgraph.operators]
    kept = sorted({each.opcodeIndex for each in operators})
    for each in operators:
        each.opcodeIndex = kept.index(each.opcodeIndex)
    model.operatorCodes = [model.operatorCodes[i] for i in kept]
