"""The signature of a file: the names by which an app's runtime passes inputs and reads outputs."""

from ai_edge_litert import schema_py_generated as schema

# What TensorFlow's converter calls it too.
KEY = b"serving_default"


def sign(model, inputs, outputs):
    """Gives a file's first subgraph a signature.

    Args:
        model: The `ModelT`, changed in place.
        inputs: The names of its inputs, in their order; none twice.
        outputs: The names of its outputs, likewise.
    """
    main = model.subgraphs[0]
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = KEY, 0
    signature.inputs = _maps(inputs, main.inputs)
    signature.outputs = _maps(outputs, main.outputs)
    model.signatureDefs = [signature]


def sign_like(model, other):
    """Gives a file the signature of another with the same inputs and outputs in the same order.

    Args:
        model: The `ModelT`, changed in place.
        other: A `ModelT` that `sign` has signed.
    """
    [signature] = other.signatureDefs
    sign(model, *([each.name for each in ends] for ends in (signature.inputs, signature.outputs)))


def renumber(model, numbers):
    """Follows the tensors of the first subgraph to their new indices.

    Args:
        model: The `ModelT`, changed in place.
        numbers: `dict`: index before -> index now.
    """
    for signature in model.signatureDefs or []:
        if signature.subgraphIndex == 0:
            for each in (*(signature.inputs or []), *(signature.outputs or [])):
                each.tensorIndex = numbers[each.tensorIndex]


def _maps(names, indices):
    found = []
    for name, index in zip(names, indices, strict=True):
        each = schema.TensorMapT()
        each.name, each.tensorIndex = name, int(index)
        found.append(each)
    return found
