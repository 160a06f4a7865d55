"""`collect(target, source, built, proof) -> [str]`: the notes of an export for its user."""

from collections.abc import Iterator

import keras
import numpy as np

from keras_lottery.exporters.tflite.comparison import USUAL_AGREEMENT
from keras_lottery.exporters.tflite.conversion import reference
from keras_lottery.exporters.tflite.conversion.source import Built, Source
from keras_lottery.exporters.tflite.format import flatbuffer, levels
from keras_lottery.exporters.tflite.proof import Proof
from keras_lottery.exporters.tflite.targets import micro, size
from keras_lottery.model import keras_internals

# Scores closer than this fraction of the largest one are nearly alike.
_ALIKE = 0.02

# Made-up inputs are of the size of one: normalised they should be no further from zero than this,
# and outputs are expected between these sizes.
_NORMALISED = 6.0
_USUAL_OUTPUT = (1e-4, 1e4)


def collect(target: str, source: Source, built: Built, proof: Proof) -> list[str]:
    """Collects the notes on an export.

    Args:
        target: The target that the user asked for.
        source: The `Source`.
        built: The `Built`.
        proof: Its `Proof`.

    Returns:
        A list of sentences.
    """
    found = [*_on_answers(proof), *_on_samples(source, built, proof), *_on_batches(proof)]
    if len(built.data) > len(source.dense_data):
        found.append(
            "The file is larger than the dense float32 one: this network is too small for sparse "
            "storage to pay."
        )
    for name in source.unused:
        found.append(f"The file has no {name!r}: the model reads it in training only.")
    if all(kernel.all() for kernel in source.kernels.values()):
        found.append("The model has no pruned weight; every weight is stored densely.")
    held = sum(np.count_nonzero(source.kernels[name][~m]) for name, m in source.masks.items())
    if held:
        found.append(
            f"{held:,} pruned weights are held at values that are not zero, and stored at them."
        )
    if target == "micro" and not micro.is_installed():
        found.append(
            "Proven in LiteRT, with the bitmasks decoded. TensorFlow Lite Micro is not installed: "
            "pip install 'keras_lottery[micro]' to prove the file in it."
        )
    return [*found, *_advice(target, source, built)]


def _on_answers(proof: Proof) -> Iterator[str]:
    if proof.agreement is not None and proof.agreement < USUAL_AGREEMENT:
        if proof.score_gap <= _ALIKE:
            scored = f"nearly alike: {proof.score_gap:.1%} of the largest score lower at most"
        else:
            scored = f"lower by up to {proof.score_gap:.0%} of the largest score"
        yield (
            f"{1 - proof.agreement:.0%} of the compared predictions are another class than in "
            f"Keras, which scores it {scored}. Compare the accuracy of both."
        )
    outputs = dict.fromkeys(output for output, _ in proof.lost_channels)
    for name in outputs:
        channels = [channel for output, channel in proof.lost_channels if output == name]
        yield (
            f"{len(channels)} channels of the output {name!r}, the first being {channels[0]}, are "
            "off by half of their range or more. Give small channels an output of their own, or "
            "store weights in a higher precision."
        )


def _on_samples(source: Source, built: Built, proof: Proof) -> Iterator[str]:
    if proof.given:
        calibrated = f", {proof.calibrated:,} calibrate integers" if proof.calibrated else ""
        if proof.compared < proof.given or proof.calibrated:
            yield (
                f"Of {proof.given:,} samples {proof.compared:,} are compared{calibrated}, spread "
                "evenly over all."
            )
        return
    yield "Compared on made-up inputs. Pass samples to compare on real ones."
    if zeroed := rounded_to_zero(source, built.data):
        alive = sum(np.count_nonzero(source.kernels[name]) for name in zeroed)
        yield (
            f"{sum(zeroed.values()):,} of {alive:,} weights that are alive round to zero, most of "
            f"them in {max(zeroed, key=zeroed.__getitem__)!r}. Only samples can tell the effect."
        )
    yield from _uncovered(source)
    yield from _unusual(source)


def _on_batches(proof: Proof) -> Iterator[str]:
    if not proof.compared > 1:
        return
    one = "one example" if proof.batch == 1 else f"{proof.batch} examples"
    if proof.resizes:
        yield f"The file takes {one} at once. It can be resized: batches of 2 and 3 give the same."
    else:
        yield f"The file takes {one} at once and no other number. Pass `batch` for another number."


def _uncovered(source: Source) -> Iterator[str]:
    """Says which made-up inputs are far from the data that a `Normalization` was adapted to."""
    for layer in keras_internals.flat_layers(source.model):
        if not isinstance(layer, keras.layers.Normalization) or layer.invert:
            continue
        mean, deviation = np.asarray(layer.mean), np.sqrt(np.asarray(layer.variance))
        for values in keras.tree.flatten(source.samples):
            if values.ndim != mean.ndim or values.shape[-1] not in (mean.shape[-1], 1):
                continue
            apart = np.abs(values - mean) / np.maximum(deviation, 1e-7)
            count = np.count_nonzero(apart > _NORMALISED)
            if count:
                yield (
                    f"{count:,} of {apart.size:,} made-up inputs are further than "
                    f"{_NORMALISED:.0f} standard deviations from what the layer {layer.name!r} was "
                    "adapted to. Nothing is proven for usual inputs: pass samples."
                )


def _unusual(source: Source) -> Iterator[str]:
    """Says which outputs on made-up inputs have a size that real ones hardly have."""
    low, high = _USUAL_OUTPUT
    answers = zip(source.outputs, reference.answers(source.model, source.samples), strict=True)
    for name, values in answers:
        if values.dtype.kind != "f":
            continue
        largest = float(np.abs(values).max(initial=0))
        if not low <= largest <= high:
            count = np.count_nonzero(~((np.abs(values) <= high) & (np.abs(values) >= low)))
            yield (
                f"{count:,} of {values.size:,} values of the output {name!r} have an unusual size "
                f"on made-up inputs, the largest being {largest:.2g}. Pass samples."
            )


def rounded_to_zero(source: Source, data: bytes) -> dict[str, int]:
    """How many weights that are alive in Keras are zero in a file: `{name: count}`.

    Args:
        source: The `Source`.
        data: The file without bitmasks, a flatbuffer.
    """
    file, found = flatbuffer.read(data), {}
    for _, _, tensor in flatbuffer.constants(file):
        name = levels.name(tensor)
        if name in source.orders:
            zero = 0 if tensor.quantization is None else tensor.quantization.zeroPoint
            values = flatbuffer.values(file, tensor)
            zero = 0 if zero is None or not np.size(zero) else np.asarray(zero).flat[0]
            dead = np.count_nonzero(source.kernels[name]) - np.count_nonzero(values != zero)
            if dead > 0:
                found[name] = int(dead)
    return found


def _advice(target: str, source: Source, built: Built) -> Iterator[str]:
    """Says how small the file would be with int8 weights, if that saves a fifth or more."""
    if target != "size" or built.precision == "int8":
        return
    smaller = size.build(source, "int8").data
    if len(smaller) < 0.8 * len(built.data):
        yield (
            f"With int8 weights the file would have {len(smaller):,} bytes, not "
            f"{len(built.data):,}. Pass precision='int8'; that file is proven too."
        )
