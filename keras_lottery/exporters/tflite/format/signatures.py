"""The signature of a file: the names by which an app's runtime passes inputs and reads outputs."""

from collections.abc import Mapping, Sequence

from ai_edge_litert import schema_py_generated as schema

# What TensorFlow's converter calls it too.
KEY = b"serving_default"


def sign(file: schema.ModelT, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Gives a file's first subgraph a signature.

    Args:
        file: The `ModelT`, changed in place.
        inputs: The names of its inputs, in their order; none twice.
        outputs: The names of its outputs, likewise.
    """
    main = file.subgraphs[0]
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = KEY, 0
    signature.inputs = _maps(inputs, main.inputs)
    signature.outputs = _maps(outputs, main.outputs)
    file.signatureDefs = [signature]


def sign_like(file: schema.ModelT, other: schema.ModelT) -> None:
    """Gives a file the signature of another with the same inputs and outputs in the same order.

    Args:
        file: The `ModelT`, changed in place.
        other: A `ModelT` that `sign` has signed.
    """
    [signature] = other.signatureDefs
    sign(file, *([each.name for each in ends] for ends in (signature.inputs, signature.outputs)))


def renumber(file: schema.ModelT, numbers: Mapping[int, int]) -> None:
    """Follows the tensors of the first subgraph to their new indices.

    Args:
        file: The `ModelT`, changed in place.
        numbers: `dict`: index before -> index now.
    """
    for signature in file.signatureDefs or []:
        if signature.subgraphIndex == 0:
            for each in (*(signature.inputs or []), *(signature.outputs or [])):
                each.tensorIndex = numbers[each.tensorIndex]


def _maps(names: Sequence[str], indices: Sequence[int]) -> list[schema.TensorMapT]:
    maps = []
    for name, index in zip(names, indices, strict=True):
        each = schema.TensorMapT()
        each.name, each.tensorIndex = name, int(index)
        maps.append(each)
    return maps
