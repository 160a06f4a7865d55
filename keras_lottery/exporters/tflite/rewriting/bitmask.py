"""TensorFlow Lite Micro's bitmask: one bit for every weight, then the values that are not zero.

That runtime has an operator of its own that decodes a weight each time it is used.
"""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tflite.format import edit, flatbuffer, levels
from keras_lottery.exporters.tflite.rewriting.rewritable import Weight

DECODE = "TFLM_DECODE"

# The head of the operator's second input: its kind (pruned), the version of the head, two bytes
# unused, the version of the kind, and more of no use.
HEAD = np.array([2, 1, 0, 0, 1] + [0] * 11, np.uint8)

# What the operator, its code and its tensors add to a file at most; measured by the tests.
_DECODE_BYTES = 280


def stored_bytes(weight: Weight) -> int:
    """The bytes of an int8 weight's mask and table."""
    return -(-weight.values.size // 8) + HEAD.size + int(np.count_nonzero(weight.values))


def cost(weight: Weight) -> int:
    """The most bytes that an int8 weight takes as a bitmask, with the operators that decode it."""
    return stored_bytes(weight) - HEAD.size + _DECODE_BYTES * len(weight.operators)


def write(file: schema.ModelT, weight: Weight) -> None:
    """Stores a weight as a bitmask, with a decoding operator before each operator that reads it.

    Each reader has a decoder of its own: the runtime may reuse the memory of a decoder's output.

    Args:
        file: The `ModelT`, changed in place.
        weight: A `Weight` of int8 values whose zero is stored as zero.
    """
    subgraph, tensor, values = weight.subgraph, weight.tensor, weight.values.reshape(-1)
    mask = np.packbits(values != 0)
    table = np.concatenate([HEAD, values[values != 0].view(np.uint8)])
    sources = [
        edit.add_tensor(file, subgraph, each.shape, schema.TensorType.UINT8, each)
        for each in (mask, table)
    ]
    tensor.buffer = 0
    for number, (_, reader) in enumerate(weight.operators):
        target = weight.index
        if number:
            target = edit.add_tensor(file, subgraph, tensor.shape, tensor.type)
            subgraph.tensors[target].quantization = tensor.quantization
            reader.inputs = np.where(reader.inputs == weight.index, target, reader.inputs)
        operator = schema.OperatorT()
        operator.opcodeIndex = edit.custom_code(file, DECODE)
        operator.inputs = np.array(sources, np.int32)
        operator.outputs = np.array([target], np.int32)
        subgraph.operators.insert(subgraph.operators.index(reader), operator)


def with_decoded_masks(data: bytes) -> bytes:
    """The same file with its bitmasks decoded, which LiteRT can run too.

    Args:
        data: A flatbuffer.

    Returns:
        A flatbuffer; `data` itself if it has no bitmask.
    """
    file = flatbuffer.read(data)
    decoders = [
        (subgraph, operator)
        for subgraph in file.subgraphs
        for operator in subgraph.operators
        if file.operatorCodes[operator.opcodeIndex].customCode == DECODE.encode()
    ]
    if not decoders:
        return data
    for subgraph, operator in decoders:
        tensor = subgraph.tensors[operator.outputs[0]]
        mask, table = (
            flatbuffer.stored(file, subgraph.tensors[index]) for index in operator.inputs
        )
        values = np.zeros(levels.size(tensor), np.int8)
        alive = np.unpackbits(mask, count=values.size).astype(bool)
        values[alive] = table[HEAD.size :].view(np.int8)
        tensor.buffer = edit.add_buffer(file, values)
        subgraph.operators.remove(operator)
    return flatbuffer.write(file)
