"""Makes the page's models: LeNet-300-100 three times, from the same initial weights.

A winning ticket of 5 % of the weights, found by iterative magnitude pruning and stored in the
fewest bytes; a ticket of 1x4 blocks, which the runtime computes sparsely; and the dense network.
"""

import dataclasses
import json
import math
from base64 import b64encode
from pathlib import Path

import numpy as np

import keras_lottery as kl
from experiments import datasets, networks
from export import training
from export.web import build, small_digits
from keras_lottery.exporters import tflite
from keras_lottery.model import variables

NETWORK = networks.get("lenet_300_100")
OUTPUT = "^output/"
SPARSITY = 0.95
PRUNINGS = 14
EXAMPLES = 20


@dataclasses.dataclass(frozen=True)
class Effort:
    """The length of training, in iterations; rounded up to whole epochs.

    Attributes:
        between: The iterations from one pruning to the next.
        last: The iterations of the dense network, and of a ticket after its last pruning.
    """

    between: int = 500
    last: int = 4000


def load(data_dir=None, limit=None):
    """Load the digits to train on, as MNIST has them.

    Args:
        data_dir: The folder of TensorFlow Datasets that holds MNIST; None for scikit-learn's
            digits.
        limit: The largest number of training and of test images to take.

    Returns:
        A `Dataset` of images [n, 28, 28, 1], its name as the page shall say it.
    """
    if data_dir is None:
        return small_digits.load(limit)
    dataset = datasets.load("mnist", data_dir=data_dir, limit=limit)
    return dataclasses.replace(dataset, name="MNIST")


def write_models(folder, dataset, effort=Effort(), seed=0):
    """Trains and exports the three models, and writes the metadata that `build` reads.

    Args:
        folder: Folder to make; files of an earlier run are replaced.
        dataset: The data set that `load` returned.
        effort: The length of training.
        seed: Seed of the initial weights and of the order of the batches.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    models = []
    for name, file, granularity, arguments in (
        ("Smallest ticket", "smallest.tflite", kl.granularity.weights(), {"precision": "int8"}),
        ("Fastest ticket", "fastest.tflite", kl.granularity.blocks(4), {"target": "latency"}),
        ("Dense model", "dense.tflite", None, {"precision": "float32"}),
    ):
        model = _train(dataset, granularity, effort, seed)
        samples = dataset.x_test[:64]
        tflite.export(model, folder / file, samples=samples, overwrite=True, **arguments)
        models.append({"name": name, "file": file, **_describe(model, folder / file, dataset)})
    examples = np.round(dataset.x_test[:EXAMPLES] * 255).astype(np.uint8)
    metadata = {
        "network": "LeNet-300-100",
        "dataset": dataset.name,
        "output": "logits",
        "models": models,
        "examples": {"count": len(examples), "pixels": b64encode(examples.tobytes()).decode()},
    }
    (folder / "metadata.json").write_text(json.dumps(metadata))


def _train(dataset, granularity, effort, seed):
    """A trained network: a ticket of that granularity, or the dense one for None."""
    steps = training.steps(NETWORK, dataset)
    between, epochs = math.ceil(effort.between / steps), math.ceil(effort.last / steps)
    model = training.make_model(NETWORK, dataset, epochs, seed)
    if granularity is None:
        training.train(model, NETWORK, dataset, epochs, seed=seed)
        return model
    search = kl.Prune(
        _schedule(1 - (1 - SPARSITY) ** (1 / PRUNINGS), between),
        kl.Recipe(granularity=granularity),
        overrides={OUTPUT: _schedule(NETWORK.PRESET.overrides[OUTPUT], between)},
        rewind=kl.rewind.to_start(),
    )
    training.train(model, NETWORK, dataset, between * PRUNINGS + epochs, [search], seed)
    return kl.strip(model)


def _schedule(rate, between):
    """Prunes a fraction of what is left PRUNINGS times, and then lets the ticket train."""
    search = kl.schedules.geometric(rate, every=between)
    return lambda epoch: search(min(epoch, between * PRUNINGS))


def _describe(model, path, dataset):
    """Return what the page says of a model; the accuracy is that of the file."""
    [logits] = tflite.run(path, dataset.x_test)
    kernels = [kernel.numpy() for kernel in variables.prunable(model).values()]
    alive = sum(np.count_nonzero(kernel) for kernel in kernels)
    height, width, _ = dataset.shape
    return {
        "accuracy": float(np.mean(logits.argmax(-1) == dataset.y_test)),
        "sparsity": 1 - alive / sum(kernel.size for kernel in kernels),
        "mask": build.pack_mask(kernels[0] != 0, height, width),
    }
