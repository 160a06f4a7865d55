"""The source of every target: a Keras model, its dense conversion, and where its kernels are."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tflite.conversion import (
    batches,
    convert,
    examples,
    matching,
    names,
    reference,
    signature,
)
from keras_lottery.exporters.tflite.errors import ExportError
from keras_lottery.exporters.tflite.format import edit, flatbuffer, levels, signatures
from keras_lottery.masks.lottery import Lottery
from keras_lottery.masks.masking import MaskError
from keras_lottery.model import variables

# Examples to compare on where the user gives none.
_MADE_UP = 8

# How many of the samples calibrate activations, and how many are compared, if the user does not
# say. Comparing runs each of them in every runtime.
CALIBRATED = 256
COMPARED = 64


@dataclass(frozen=True)
class Source:
    """A model to export.

    Attributes:
        model: The Keras model.
        signature: The tensors that it is called with, see `signature.infer`.
        samples: Inputs in the structure of `signature`, all that the user gave, or made up.
        real: Whether the user gave the samples.
        kernels: Name -> values, as Keras has them, of every weight that can be pruned. A kernel
            that TensorFlow uses in pieces, as some recurrent layers do, is there as `name[0]` and
            so on. All names are those of the file, see `names`.
        masks: Name -> mask, True where alive, of the kernels that a `Lottery` masks.
        dense_data: The model as a dense float32 flatbuffer with a signature. Constants that hold a
            kernel, and the inputs and outputs, carry the names of the file.
        orders: Name -> the order of the kernel's axes in its constant, if it is a constant.
        outputs: The names of the outputs, none twice.
        layers: The names of the layers in Keras -> in the file.
        unused: The names of kernels that the model reads in training only.
        calibrate: How many samples calibrate activations; `None` for `CALIBRATED`, or for all if
            an input may be an index into a table.
        compare: How many samples are compared with Keras.
        judge: The model whose answers the file must give, if it is not `model`: the one that was
            shrunk to it.
    """

    model: keras.Model
    signature: Any
    samples: Any
    real: bool
    kernels: dict[str, np.ndarray]
    masks: dict[str, np.ndarray]
    dense_data: bytes
    orders: dict[str, tuple[int, ...]]
    outputs: tuple[str, ...]
    layers: dict[str, str]
    unused: tuple[str, ...] = ()
    calibrate: int | None = None
    compare: int = COMPARED
    judge: keras.Model | None = None

    @property
    def batch(self) -> int:
        """How many examples the file takes at once."""
        return int(keras.tree.flatten(self.signature)[0].shape[0])

    @property
    def given(self) -> int:
        """How many samples there are."""
        return len(keras.tree.flatten(self.samples)[0])

    def calibrating(self) -> Any:
        """The samples that calibrate activations, spread over all."""
        looks_up = any(a.dtype.kind in "iu" for a in keras.tree.flatten(self.samples))
        # TensorFlow gives a table the range of the rows that the samples look up.
        usual = self.given if looks_up else CALIBRATED
        return examples.spread(self.samples, self.calibrate or usual)

    def compared(self) -> Any:
        """The samples that are compared with Keras, spread over all."""
        return examples.spread(self.samples, self.compare)

    def in_file_order(self, name: str, array: np.ndarray) -> np.ndarray:
        """Flattens an array of a kernel's shape in the order of the kernel's constant."""
        return array.transpose(self.orders[name]).reshape(-1)


@dataclass(frozen=True)
class Built:
    """A file that a target built from a `Source`.

    Attributes:
        data: The flatbuffer.
        reasons: Tensor name -> why the tensor is stored as it is.
        precision: The lowest precision in the file, by which its outputs are judged: `"float32"`,
            `"float16"`, `"int8"`, or `"full_int8"` if it computes in int8 as well.
        dense_integers: Of a file that computes in int8, the flatbuffer of the converter, which
            stores the same integers densely.
        notes: Sentences for the user.
    """

    data: bytes
    reasons: dict[str, str]
    precision: str
    dense_integers: bytes | None = None
    notes: tuple[str, ...] = ()


def prepare(
    model: keras.Model,
    samples: Any = None,
    *,
    batch: int | None = None,
    calibrate: int | None = None,
    compare: int = COMPARED,
) -> Source:
    """Converts a model densely and finds its kernels.

    Args:
        model: A built `keras.Model`.
        samples: Real inputs as the model is called with, or `None`; see `batches.gathered`.
        batch: How many examples the file takes at once, as of `signature.infer`.
        calibrate: How many samples calibrate activations, see `Source`.
        compare: How many samples are compared with Keras.

    Returns:
        A `Source`.

    Raises:
        ExportError: The model has no weights, or its masks are violated; or see `convert.convert`
            and `signature.infer`.
        ValueError: `model` is no Keras 3 model, or the samples do not fit its inputs.
    """
    if samples is not None:
        samples = batches.gathered(samples)
    called_with = signature.infer(model, samples, batch)
    if not model.weights:
        raise ExportError(f"The model {model.name!r} has no weights: there is nothing to prune.")
    masks = _checked_masks(model)
    real = samples is not None
    if real:
        samples = examples.fitted(samples, called_with)
    else:
        samples = examples.made_up(called_with, _MADE_UP)
    values = {name: v.numpy() for name, v in variables.candidates(model).items()}
    dense_file = flatbuffer.read(convert.convert(model, called_with))
    found = _find(values, masks, dense_file)
    unused = _unused(model, called_with, [name for name in values if name not in found])
    for name in unused:
        del values[name]
        masks.pop(name, None)
    layers = names.of_layers(model)
    files = _file_names([*values, *unused], names.of_variables(model, layers))
    for subgraph in dense_file.subgraphs:
        for tensor in subgraph.tensors:
            tensor.name = levels.name(tensor).encode()
    # The converter's names of other constants go by how often TensorFlow opened a scope.
    for number, (_, _, tensor) in enumerate(flatbuffer.constants(dense_file)):
        tensor.name = edit.UNNAMED + str(number).encode()
    for name, (tensor, _) in found.items():
        tensor.name = files[name].encode()
    inputs = [tensor.name for tensor in keras.tree.flatten(called_with)]
    outputs = names.distinct(_output_names(model, samples, layers))
    _name_ends(dense_file.subgraphs[0], inputs, outputs)
    signatures.sign(dense_file, inputs, outputs)
    return Source(
        model=model,
        signature=called_with,
        samples=samples,
        real=real,
        kernels={files[name]: value for name, value in values.items()},
        masks={files[name]: mask for name, mask in masks.items()},
        dense_data=flatbuffer.write(dense_file),
        orders={files[name]: order for name, (_, order) in found.items()},
        outputs=tuple(outputs),
        layers=layers,
        unused=tuple(files[name] for name in unused),
        calibrate=calibrate,
        compare=compare,
    )


def _file_names(kernels: Iterable[str], chosen: Mapping[str, str]) -> dict[str, str]:
    """The name in the file for each kernel's name in Keras; a piece keeps its number."""
    wholes = {name: re.sub(r"\[\d+\]$", "", name) for name in kernels}
    return {name: chosen[whole] + name[len(whole) :] for name, whole in wholes.items()}


def _find(
    values: dict[str, np.ndarray], masks: dict[str, np.ndarray], dense_file: schema.ModelT
) -> dict[str, tuple[schema.TensorT, matching.Order]]:
    """Matches kernels with constants; a kernel used in pieces becomes a kernel for each piece."""
    found = matching.find(values, dense_file)
    for name in [name for name in values if name not in found]:
        taken = [tensor for tensor, _ in found.values()]
        pieces = matching.pieces_of(values[name], dense_file, taken)
        if not pieces:
            continue
        starts = np.cumsum([piece.shape[-1] for piece, _, _ in pieces])[:-1]
        names = [f"{name}[{number}]" for number in range(len(pieces))]
        del values[name]
        values |= {each: piece for each, (piece, _, _) in zip(names, pieces, strict=True)}
        if name in masks:
            masks |= zip(names, np.split(masks.pop(name), starts, axis=-1), strict=True)
        for each, (_, tensor, order) in zip(names, pieces, strict=True):
            if tensor is not None:
                found[each] = tensor, order
    return found


def _unused(model: keras.Model, called_with: Any, names: Sequence[str]) -> list[str]:
    """The names of variables that the model does not read when it is called."""
    if not names:
        return []
    read = {id(variable) for variable in convert.variables_read(model, called_with)}
    named = variables.named(model)
    return [name for name in names if name in named and id(named[name]) not in read]


def _checked_masks(model: keras.Model) -> dict[str, np.ndarray]:
    """The masks on a model, none if it has none, after a check that its weights obey them."""
    lottery = Lottery.on(model)
    if lottery is None:
        return {}
    try:
        lottery.check()
    except MaskError as error:
        raise ExportError(f"The model's masks are violated. {error}") from error
    return dict(lottery.masks)


def _name_ends(subgraph: schema.SubGraphT, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    for ends, indices in ((inputs, subgraph.inputs), (outputs, subgraph.outputs)):
        for name, index in zip(ends, indices, strict=True):
            subgraph.tensors[index].name = name.encode()


def _output_names(model: keras.Model, samples: Any, layers: Mapping[str, str]) -> list[str]:
    one = keras.tree.map_structure(lambda array: array[:1], samples)
    structure = reference.outputs(model, one)
    count = len(reference.flat(structure))
    if isinstance(model, keras.Sequential):
        last = layers[model.layers[-1].name]
        return [last] if count == 1 else [f"{last}_{i}" for i in range(count)]
    positional = [f"output_{i}" for i in range(count)] if count > 1 else ["output"]
    own = [layers.get(name, name) for name in getattr(model, "output_names", positional)]
    return signature.names(structure, own)
