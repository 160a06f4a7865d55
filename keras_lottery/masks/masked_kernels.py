"""`MaskedKernels`: the kernels of a model, their masks, and the values of pruned weights."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NoReturn

import keras
import numpy as np

from keras_lottery import scorers
from keras_lottery.core import hold_at, lookup
from keras_lottery.core.kernel import Kernel, check_seed
from keras_lottery.core.recipe import How, as_recipe
from keras_lottery.core.streams import stream
from keras_lottery.masks import integrity, left_out, listing, masking
from keras_lottery.masks.attachment import Attachment
from keras_lottery.masks.rewinding import Training
from keras_lottery.masks.snapshot import State
from keras_lottery.masks.watch import Watch
from keras_lottery.model import adapters, trainers, variables


class MaskedKernels:
    """The masks over a model's kernels, in force wherever these are trained.

    Owns the state of a `Lottery`, which is this and the ways to change masks and to rewind.

    Args:
        model: A built `keras.Model`.
        recipe: Which kernels, and where their pruned weights are held.
        optimizer: One or several optimizers that train the model and that it does not know.
        seed: Seed of every random choice.
        masks: The masks that will be set, or `None`. They are checked here, before anything
            changes.
    """

    def __init__(
        self,
        model: keras.Model,
        recipe: How,
        optimizer: keras.optimizers.Optimizer | Iterable[keras.optimizers.Optimizer],
        seed: int,
        masks: Mapping[str, np.ndarray] | None,
    ):
        check_seed(seed)
        self.model = model
        self.recipe = as_recipe(recipe)
        self.seed = seed
        self._kernels = variables.prunable(model, self.recipe.include, self.recipe.exclude)
        if masks is not None:
            masking.refuse_misfits(masks, self._kernels)
        self._recipes = self.recipe.of_kernels(self._kernels)
        scorers.check(self._recipes.values())
        self._watch = Watch(model, self._kernels, optimizer)
        self._attachment = Attachment(self, self._kernels, self._frozen(), self._watch)
        self._training = Training(model, self._watch, self._attachment)
        self._attachment.refuse_others()
        trainers.build_optimizer(model)
        self._state = State(
            masks={name: np.ones(kernel.shape, bool) for name, kernel in self._kernels.items()},
            held_values={},
            previous={},
            point=self._training.save(step=0),
        )
        self.attach()

    def __repr__(self) -> str:
        return listing.short(self.model.name, self._state.masks)

    def __deepcopy__(self, memo: dict | None = None) -> NoReturn:
        raise TypeError(
            "A Lottery belongs to the variables of one model and cannot be copied: put its ticket "
            "on a copy of the model, `Ticket.of(lottery).apply(copy)`."
        )

    __copy__ = __reduce__ = __deepcopy__  # Pickling too.

    # What there is.

    @property
    def names(self) -> list[str]:
        """The names of the kernels, in the order of the layers."""
        return list(self._kernels)

    @property
    def masks(self) -> dict[str, np.ndarray]:
        """The masks by kernel name: boolean, the kernel's shape, True = alive. A copy."""
        return {name: self._state.masks[name].copy() for name in self._kernels}

    @property
    def alive_counts(self) -> dict[str, int]:
        """The number of live weights of each kernel."""
        return {name: int(np.count_nonzero(self._state.masks[name])) for name in self._kernels}

    @property
    def sparsities(self) -> dict[str, float]:
        """The fraction of each kernel's weights that is pruned, in [0, 1]."""
        return {
            name: 1 - alive / self._state.masks[name].size
            for name, alive in self.alive_counts.items()
        }

    @property
    def sparsity(self) -> float:
        """The fraction of all kernels' weights that is pruned, in [0, 1]."""
        return 1 - sum(self.alive_counts.values()) / sum(
            mask.size for mask in self._state.masks.values()
        )

    def summary(self) -> None:
        """Print a table of the kernels, with totals, and of what is left dense."""
        print(listing.table(self._state.masks, left_out.reasons(self.model, self._kernels)))

    @property
    def attached(self) -> bool:
        """True if every kernel carries its mask."""
        return self._attachment.is_attached()

    @property
    def holds_nonzero(self) -> bool:
        """True if pruned weights of some kernel are held at other values than zero."""
        return bool(self._frozen())

    def _frozen(self) -> set[str]:
        """The kernels whose pruned weights are held at values of their own."""
        return {name for name, recipe in self._recipes.items() if recipe.hold_at != "zero"}

    @property
    def state(self) -> State:
        """Everything that a `Lottery` knows beside the model, for a backup. It is not a copy."""
        return self._state

    def load_state(self, state: State) -> None:
        """Go on from an earlier state. Weights change only where the masks prune them.

        Args:
            state: The `state` of a `Lottery` over a model of the same architecture.

        Raises:
            ValueError: If its kernels are others.
        """
        masking.refuse_misfits(state.masks, self._kernels)
        self._require_attached()
        self._state = state
        self._write_masks()
        self.enforce()

    def records(
        self, purpose: str = "look", names: Collection[str] | None = None
    ) -> Iterator[Kernel]:
        """Yield the records of kernels that criteria and actions take.

        Args:
            purpose: The use of the records. Together with the seed and the number of events so far
                it names the generators in them.
            names: Which kernels. Defaults to all.
        """
        self._fill()
        for position, (name, kernel) in enumerate(self._kernels.items()):
            if names is not None and name not in names:
                continue
            yield Kernel(
                name=name,
                current=keras.ops.convert_to_numpy(kernel),
                initial=self._state.point.values[name],
                mask=self._state.masks[name],
                previous=self._state.previous.get(name, self._state.point.values[name]),
                # By position, not by name: Keras numbers unnamed layers anew in every build.
                rng=stream(self.seed, purpose, self._state.events, position),
                draw=variables.initializer(self.model, kernel),
            )

    # Attaching.

    def attach(self) -> None:
        """Make the train step apply the masks.

        A new `Lottery` does it, and `Prune` when a fit begins. Call it again after
        `model.compile`, since on JAX the masks live in the optimizer.

        Raises:
            ValueError: If another `Lottery` is attached to the model.
        """
        if self._attachment.attach():
            self._write_masks()

    def detach(self) -> None:
        """Take the masks off the model: the user's own constraints come back.

        The weights stay as they are, zeros included.
        """
        self._attachment.detach()

    def _fill(self) -> None:
        """Give the variables their values while an epoch of a `fit` on JAX holds them."""
        for model in self._watch.models():
            variables.fill(model)

    def note_step(self, optimizer: keras.optimizers.Optimizer) -> None:
        """Note that an optimizer steps, or traces a step, in which it sees the masks."""
        self._watch.note(optimizer)

    def meet(self, model: keras.Model) -> None:
        """Note that a model which contains the kernels is about to train them."""
        self._watch.meet(model)
        if self.attached:
            self.attach()

    def _require_attached(self) -> None:
        self._fill()
        self._attachment.require()
        self.attach()  # The model may have been compiled anew.

    # Masks in force.

    def set_masks(self, masks: Mapping[str, np.ndarray]) -> None:
        """Replace the masks, and put newly pruned weights where they are held.

        The optimizers' slots of weights that are pruned, or come back, get their initial value.

        Args:
            masks: A dict from kernel name to boolean array of the kernel's shape, for every kernel.

        Raises:
            ValueError: If a kernel is missing or unknown, a mask has another shape or dtype, or
                Keras' Adafactor cannot train what is left.
            MaskError: If the masks were detached, a constraint set over them, or a kernel replaced.
        """
        masking.refuse_misfits(masks, self._kernels)
        self._go_by({name: np.array(masks[name]) for name in self._kernels})

    def _go_by(self, masks: dict[str, np.ndarray]) -> None:
        """Set masks that fit and that nobody else holds."""
        self._require_attached()
        integrity.refuse_adafactor(self._watch.optimizers(), self._kernels, masks)
        held = {}
        for record in self.records("hold", self._frozen()):
            name, before = record.name, self._state.held_values.get(record.name)
            action = lookup.get(hold_at, self._recipes[name].hold_at)
            held[name] = masking.held_values(record, masks[name], before, action)
        dead = {name: ~(mask & masks[name]) for name, mask in self._state.masks.items()}
        self._state.masks = masks
        self._state.held_values = held
        self._training.reset_slots(self._kernels, dead)
        self._write_masks()
        self.enforce()

    def enforce(self) -> None:
        """Put every pruned weight, and an optimizer's moving average of it, where it is held.

        The train step does this by itself. Call it after weights were changed from outside.

        Raises:
            MaskError: As from `set_masks`.
        """
        self._require_attached()
        for name, kernel in self._kernels.items():
            mask, held = self._state.masks[name], self._state.held_values.get(name)
            averages = [masking.average_of(one, kernel) for one in self._watch.optimizers()]
            for variable in (kernel, *averages):
                if variable is not None:
                    masking.enforce(variable, mask, held)

    def check(self) -> None:
        """Verify that every pruned weight has exactly the value it is held at.

        Warns where a layer computes with another kernel than the stored one, as with LoRA.

        Raises:
            MaskError: If a pruned weight has another value, because training diverged (a mask does
                not hide NaN) or a step knows nothing of the masks. Or if a kernel was replaced, as
                by `quantize`.
        """
        self._require_attached()
        integrity.refuse_broken(
            self.records(),
            self._state.held_values,
            self._watch.unmasked(),
            self._watch.optimizers(),
        )
        integrity.warn_of_adapters(self.revived_by_adapters(), self._state.masks)

    def revived_by_adapters(self) -> dict[str, int]:
        """The number of pruned weights by kernel name that adapters (LoRA) make nonzero in the
        kernel that a layer computes with."""
        return adapters.revived_by_adapters(self.model, self._kernels, self._state.masks)

    def _write_masks(self) -> None:
        for name, kernel in self._kernels.items():
            kernel.constraint.write(self._state.masks[name], self._state.held_values.get(name))
