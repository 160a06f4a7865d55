"""`Bench`: one compiled model on which all pieces of a training and a seed are made, in turn."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

import keras_lottery as kl
from experiments import training
from experiments.experiment import Experiment
from experiments.pieces.piece import Piece, measures_with_data
from experiments.pieces.store import Store
from keras_lottery.masks.snapshot import Snapshot, State
from keras_lottery.model import assignment, variables
from keras_lottery.tickets.snapshot_arrays import arrays_of, group, snapshot_from

# Images that the activations at the beginning are measured with.
_LOOKED_AT = 256


class Bench:
    """A model that is compiled once, and put into the state that the next piece begins with.

    Every piece begins from what is stored of its parents, never from what the model happens to be:
    so it does not matter what was made here before.

    Args:
        experiment: The `Experiment`.
        seed: The seed.
        store: The `Store` with the parents.
        report: A function that is called with the number of iterations since its last call.
    """

    def __init__(
        self, experiment: Experiment, seed: int, store: Store, report: Callable[[int], None]
    ):
        self.experiment = experiment
        self.seed = seed
        self.model = training.make_model(experiment, seed)
        examples = training.split(experiment, seed)
        self.trainer = training.Trainer(self.model, examples, experiment, seed, report)
        self.lottery: kl.Lottery | None = None
        self.fresh: Snapshot | None = None
        self._store = store
        self._watched: keras.Model | None = None

    def begin(self, recipe: kl.Recipe) -> kl.Lottery:
        """Put the model where it was when it was made, without masks.

        Args:
            recipe: The recipe of the `Lottery`.

        Returns:
            The attached `Lottery`.
        """
        if self.lottery is not None:
            self.lottery.attach()
            self.lottery.begin_again(self.fresh, self.seed)
            if self.lottery.recipe == recipe:
                return self.lottery
            self.lottery.detach()
        self.lottery = kl.Lottery(self.model, recipe, seed=self.seed)
        self.fresh = self.lottery.state.point
        return self.lottery

    def restore(self, piece: Piece, recipe: kl.Recipe, point: Piece | None) -> kl.Lottery:
        """Put the model where it was at the end of a piece's training.

        Args:
            piece: A stored piece.
            recipe: The recipe of the `Lottery`.
            point: The piece at whose end the rewind point is; the beginning if `None`.

        Returns:
            The attached `Lottery`, which goes on where it was.
        """
        lottery = self.begin(recipe)
        stored = self._store.load(piece.name)
        trained, previous = self._trained(stored)
        ticket = stored.ticket().renamed(self.model)
        rewind_point = self.fresh
        if point is not None:
            rewind_point, _ = self._trained(self._store.load(point.name))
        if piece is not piece.dense and not previous:
            parent, _ = self._trained(self._store.load(piece.parents[0].name))
            previous = {name: parent.values[name] for name in lottery.names}
        lottery.begin_again(trained, self.seed)
        masks = lottery.masks if piece is piece.dense else ticket.masks
        held = ticket.held_values if lottery.holds_nonzero and piece is not piece.dense else {}
        events = stored.ticket().metadata["events"]
        lottery.load_state(State(masks, held, previous, rewind_point, events))
        return lottery

    def _trained(self, stored: Any) -> tuple[Snapshot, dict[str, np.ndarray]]:
        """The model at the end of a piece's training, and the kernels at its last pruning."""
        _, arrays, numbers = stored.trained()
        snapshot, names = snapshot_from(arrays, numbers["step"], self.model)
        previous = {names[name]: value for name, value in group(arrays, "previous").items()}
        return snapshot, previous

    def trainer_of(self, network: keras.Model | None) -> training.Trainer:
        """The trainer of a network around the model, or of the model itself if it is `None`."""
        if network is None:
            return self.trainer
        own = self.trainer
        return training.Trainer(network, own.examples, own.experiment, own.seed, own.report)

    def adopt(self, ticket: kl.Ticket) -> None:
        """Put a ticket on the model, which has no masks, in place of the last `Lottery`."""
        self.lottery = ticket.apply(self.model)

    def scored(self, recipe: kl.Recipe, count: int) -> Any:
        """Return the first training images of each class, if the criterion measures with data."""
        if not measures_with_data(recipe):
            return None
        images, classes = self.trainer.examples.train
        counts = np.unique(classes, return_counts=True)[1]
        per_class = max(1, count // len(counts))
        if per_class > counts.min():
            raise ValueError(
                f"`scored_images` is {count}, {per_class} of each of {len(counts)} classes, and "
                f"one class has only {counts.min()} training images: give "
                f"{counts.min() * len(counts)} or fewer."
            )
        return kl.scorers.balanced(images, classes, per_class)

    def kernels(self) -> dict[str, np.ndarray]:
        """The values of the kernels that may be pruned, by name."""
        named = variables.named(self.model)
        return {name: np.array(named[name]) for name in self.lottery.names}

    def moved(
        self, values: Mapping[str, np.ndarray], where: Mapping[str, np.ndarray]
    ) -> float | None:
        """The mean distance of some weights from the rewind point, or `None` of none."""
        start = self.lottery.state.point.values
        distances = [np.abs(values[name] - start[name])[where[name]] for name in values]
        together = np.concatenate([np.zeros(0), *distances])
        return float(together.mean()) if together.size else None

    def activations(self) -> dict[str, list[float]]:
        """How large the activations are at the beginning, without and with the masks.

        Returns:
            By layer with a ReLU, the root of the mean square of its outputs without masks and with
            them, over validation images.
        """
        masked = self._sizes()
        kernels = self.kernels()
        assignment.assign(self.model, self._values(self.lottery.state.point.values))
        dense = self._sizes()
        assignment.assign(self.model, self._values(kernels))
        return {name: [dense[name], masked[name]] for name in masked}

    def _values(self, kernels: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The values of all variables, with other ones of the masked kernels."""
        named = variables.named(self.model)
        return {
            name: kernels[name] if name in self.lottery.names else np.array(variable)
            for name, variable in named.items()
        }

    def _sizes(self) -> dict[str, float]:
        if self._watched is None:
            outputs = {
                layer.name: layer.output
                for layer in self.model.layers
                if isinstance(layer, keras.layers.ReLU)
                or getattr(layer, "activation", None) is keras.activations.relu
            }
            self._watched = keras.Model(self.model.inputs, outputs)
        images = self.trainer.examples.validation[0][:_LOOKED_AT]
        return {
            name: float(np.sqrt(np.mean(np.square(keras.ops.convert_to_numpy(output)))))
            for name, output in self._watched(images, training=False).items()
        }

    def trained(self, optimizer: bool, previous: bool) -> tuple[dict[str, np.ndarray], int]:
        """The model as it is, as arrays.

        Args:
            optimizer: Whether with the optimizer's variables.
            previous: Whether with the kernels as they were at the last pruning.

        Returns:
            The arrays, and the number of the optimizer's steps.
        """
        lottery = self.lottery
        point = lottery.state.point
        step = int(self.model.optimizer.iterations)
        lottery.save_rewind_point(step)
        snapshot = lottery.state.point
        lottery.load_state(dataclasses.replace(lottery.state, point=point))
        if not optimizer:
            snapshot = dataclasses.replace(snapshot, optimizers=[])
        arrays = arrays_of(snapshot)
        if previous:
            arrays |= {f"previous:{name}": value for name, value in lottery.state.previous.items()}
        return arrays, step

    def save(self, progress: training.Progress) -> tuple[dict, dict, dict]:
        """A training on the way: masks, arrays and numbers, from which `resume` goes on."""
        state = self.lottery.state
        arrays, step = self.trained(optimizer=True, previous=True)
        arrays |= {f"held:{name}": value for name, value in state.held_values.items()}
        arrays |= {f"best:{i}": value for i, value in enumerate(progress.best.weights)}
        numbers = {
            "step": step,
            "events": state.events,
            "epoch": progress.epoch,
            "best": [progress.best.iteration, progress.best.loss],
            "curve": progress.curve,
            "seconds": progress.seconds,
        }
        return self.lottery.masks, arrays, numbers

    def resume(self, masks: dict, arrays: dict, numbers: dict) -> training.Progress:
        """Put the model where a training on the way was; `begin` of the same piece came before."""
        lottery, seed = self.lottery, self.lottery.seed
        point, search = lottery.state.point, lottery.state.search
        snapshot, names = snapshot_from(arrays, numbers["step"], self.model)
        lottery.begin_again(snapshot, seed)

        def own(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {names[name]: value for name, value in values.items()}

        lottery.load_state(
            State(
                own(masks),
                own(group(arrays, "held")),
                own(group(arrays, "previous")),
                point,
                numbers["events"],
                search,
            )
        )
        best = [value for _, value in sorted(group(arrays, "best").items(), key=_by_number)]
        return training.Progress(
            numbers["epoch"],
            training.Best(*numbers["best"], best),
            tuple(map(tuple, numbers["curve"])),
            numbers["seconds"],
        )


def _by_number(item: tuple[str, Any]) -> int:
    return int(item[0])
