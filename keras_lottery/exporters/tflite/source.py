"""What every target starts from: a Keras model, its dense conversion, and where its kernels are."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_lottery import variables
from keras_lottery.exporters.tflite import convert, flatbuffer, kernels, signature

# Examples to compare on where the user gives none.
_MADE_UP = 8


@dataclass(frozen=True)
class Source:
    """A model to export.

    Attributes:
        model: The Keras model.
        signature: What it is called with, at a batch of one; see `signature.of`.
        samples: Inputs in the structure of `signature`, from the user or made up.
        real: Whether the user gave them.
        kernels: Name -> values, as Keras has them.
        dense: The model as a dense float32 flatbuffer. Constants that hold a kernel, and the
            inputs and outputs, carry Keras's names.
    """

    model: keras.Model
    signature: Any
    samples: Any
    real: bool
    kernels: dict[str, np.ndarray]
    dense: bytes


@dataclass(frozen=True)
class Built:
    """What a target makes of a `Source`.

    Attributes:
        data: The flatbuffer.
        reasons: Tensor name -> why it is stored as it is.
        precision: The lowest precision in it, by which its outputs are judged.
        notes: What else the user should know.
    """

    data: bytes
    reasons: dict[str, str]
    precision: str
    notes: tuple[str, ...] = ()


def prepare(model, samples=None):
    """Converts a model densely and finds its kernels.

    Args:
        model: A built `keras.Model`.
        samples: Real inputs as the model is called with, or `None`.

    Returns:
        A `Source`.

    Raises:
        ExportError: See `convert.convert` and `signature.of`.
        ValueError: The samples do not fit the model's inputs.
    """
    called_with = signature.of(model, samples)
    real = samples is not None
    if real:
        samples = keras.tree.map_structure(
            lambda array, tensor: np.asarray(array, tensor.dtype), samples, called_with
        )
    else:
        samples = signature.made_up(called_with, _MADE_UP)
    values = {name: variable.numpy() for name, variable in variables.prunable(model).items()}
    dense = flatbuffer.read(convert.convert(model, called_with))
    for name, tensor in kernels.find(values, dense).items():
        tensor.name = name.encode()
    _name_ends(dense.subgraphs[0], model, called_with)
    for subgraph in dense.subgraphs:
        for tensor in subgraph.tensors:
            tensor.shapeSignature = None  # no axis is open
    return Source(model, called_with, samples, real, values, flatbuffer.write(dense))


def _name_ends(subgraph, model, called_with):
    inputs = [tensor.name for tensor in keras.tree.flatten(called_with)]
    outputs = getattr(model, "output_names", None) or []
    for names, indices in ((inputs, subgraph.inputs), (outputs, subgraph.outputs)):
        for name, index in zip(names, indices, strict=False):
            subgraph.tensors[index].name = name.encode()
