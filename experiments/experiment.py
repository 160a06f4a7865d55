"""`Experiment`: how networks are trained, on loaded images."""

import dataclasses
import functools
import hashlib
import math
from types import ModuleType

import keras

from experiments import datasets, networks
from experiments.settings import Images, Training


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A network, the images that it is trained on, and how.

    Args:
        training: `settings.Training`.
        dataset: `datasets.Dataset`.
    """

    training: Training
    dataset: datasets.Dataset

    @property
    def network(self) -> ModuleType:
        """The module of the network."""
        return networks.get(self.training.network)

    @functools.cached_property
    def network_digest(self) -> str:
        """A digest of the network's layers: of a file that was edited it is another one."""
        dataset = self.dataset
        network = self.network.build(dataset.shape, dataset.classes, seed=0)
        # Not the whole configuration: Keras counts what has no name, and its versions add settings.
        text = repr(
            [
                (
                    type(layer).__name__,
                    layer.name,
                    getattr(getattr(layer, "activation", None), "__name__", ""),
                    [tuple(weight.shape) for weight in layer.weights],
                )
                for layer in network.layers
                if not isinstance(layer, keras.layers.InputLayer)
            ]
        )
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def validation(self) -> int:
        """The number of training examples that are set aside for validation."""
        return min(self.training.validation, len(self.dataset.x_train) // 5)

    @property
    def training_images(self) -> int:
        """The number of examples that are left to train on."""
        return len(self.dataset.x_train) - self.validation

    @property
    def steps(self) -> int:
        """The number of iterations in an epoch."""
        return math.ceil(self.training_images / self.training.batch_size)

    def title(self, seeds: int, length: str) -> str:
        """Return one line that says what was run, for tables and figures.

        Args:
            seeds: The number of seeds.
            length: The length of a round, in words.
        """
        images = f"{self.training_images:,} images of {self.dataset.name}"
        repeated = f"{seeds} seeds" if seeds > 1 else "1 seed"
        return f"{self.training.network} on {images}, {length} a round, {repeated}"


def load(images: Images, data_dir: str | None = None, download: bool = False) -> datasets.Dataset:
    """Load the images of an experiment.

    Args:
        images: `settings.Images`.
        data_dir: The folder of TensorFlow Datasets.
        download: Whether TensorFlow Datasets may fetch what is not in `data_dir`.

    Raises:
        ValueError, FileNotFoundError: As from `datasets.load`.
    """
    dataset = datasets.load(images.name, data_dir, download, images.examples)
    return datasets.standardize(dataset) if images.standardize else dataset
