"""`Attachment` puts the masks of a `Lottery` into the train step, and takes them out again."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import keras
import numpy as np

from keras_lottery.masks import gradients, integrity, masking
from keras_lottery.masks.gradients import Owner
from keras_lottery.masks.masking import MaskConstraint
from keras_lottery.masks.watch import Watch
from keras_lottery.model import keras_internals, variables


class Attachment:
    """Sets a `MaskConstraint` on every kernel, and lets every train step see it.

    On JAX a compiled step takes every variable that is not part of its state for a constant, and an
    optimizer is the part of the state that may grow: there the masks are variables of the
    optimizers, their homes. On other backends nothing owns them, and so they are in no file.

    Args:
        lottery: The `Lottery` that owns the masks.
        kernels: The variables to mask, by name.
        frozen: The names of the kernels whose pruned weights are held at values of their own,
            rather than zero.
        watch: Who trains the kernels.
    """

    def __init__(
        self,
        lottery: Owner,
        kernels: Mapping[str, keras.Variable],
        frozen: Collection[str],
        watch: Watch,
    ):
        self._lottery = lottery
        self._model = lottery.model
        self._kernels = kernels
        self._frozen = frozen
        self._watch = watch
        self._homes: list[keras.optimizers.Optimizer] = []
        self._variables: list[keras.Variable] = []

    @property
    def variable_ids(self) -> set[int]:
        """The `id` of every variable that the train step has for the masks."""
        return set(map(id, self._variables))

    def attach(self) -> bool:
        """Attach the masks, unless they are attached already wherever they have to be.

        Returns:
            Whether it attached them: they are all zero then, and have to be written.

        Raises:
            ValueError: If another `Lottery` is attached to the model.
        """
        homes = self._homes_now()
        attached = self.is_attached()
        if attached and _same(homes, self._homes):
            return False
        self.detach()
        self.refuse_others()
        self._homes = homes
        for name, kernel in self._kernels.items():
            alive = self._state_variable(kernel, "mask")
            held = self._state_variable(kernel, "held") if name in self._frozen else None
            kernel.constraint = MaskConstraint(self._lottery, alive, held, kernel.constraint)
            self._variables += [alive] if held is None else [alive, held]
        for home in homes:
            _hide_from_files(home, self._variables)
        if keras.backend.backend() == "jax":
            keras_internals.after_compile(self._model, self._lottery.attach)
        gradients.mask_while_attached(self._lottery)
        self._watch.begin(again=attached)
        self._retrace()
        return True

    def is_attached(self) -> bool:
        """Return whether every kernel carries its mask."""
        return len(self._masked()) == len(self._kernels)

    def detach(self) -> None:
        """Give every kernel its own constraint back, and the optimizers their own variables."""
        masked = self._masked()
        for home in self._homes:
            for variable in self._variables:
                keras_internals.untrack(_stepping(home), variable)
            _show_in_files(home)
        for kernel in masked:
            constraint = kernel.constraint
            # A step that somebody else compiled goes on reading the mask: let it change nothing.
            constraint.write(np.ones(kernel.shape, bool), None)
            kernel.constraint = constraint.inner
        keras_internals.after_compile(self._model, None)
        gradients.stop_masking(self._lottery)
        self._homes, self._variables = [], []
        if masked:
            self._retrace()

    def require(self) -> None:
        """Raise a `MaskError` if the masks are not on the model's kernels any more."""
        integrity.refuse_detached(self._lottery, self._kernels)
        integrity.refuse_replaced(self._model, self._kernels)

    def refuse_others(self) -> None:
        """Raise a `ValueError` if another `Lottery` is attached to the model."""
        owners = map(masking.lottery_of, variables.named(self._model).values())
        if any(owner is not None and owner is not self._lottery for owner in owners):
            raise ValueError(
                f"The model {self._model.name!r} has masks already: use `Lottery.on(model)` to go "
                "on from them, or `strip(model)` to take them off."
            )

    def _masked(self) -> list[keras.Variable]:
        """The kernels that carry a constraint of this `Lottery`."""
        return [k for k in self._kernels.values() if masking.lottery_of(k) is self._lottery]

    def _homes_now(self) -> list[keras.optimizers.Optimizer]:
        return self._watch.optimizers() if keras.backend.backend() == "jax" else []

    def _state_variable(self, kernel: keras.Variable, name: str) -> keras.Variable:
        """A variable of zeros like a kernel, which the compiled train step reads anew each time."""
        if not self._homes:
            with variables.scope(self._model):
                return keras.Variable(
                    "zeros",
                    shape=kernel.shape,
                    dtype=kernel.dtype,
                    trainable=False,
                    name=f"{kernel.name}_{name}",
                )
        first, *others = map(_stepping, self._homes)
        variable = first.add_variable_from_reference(kernel, name=name)
        for other in others:
            keras_internals.track(other, variable)
        return variable

    def _retrace(self) -> None:
        """Let models trace their train step anew: one that was traced before would go on with the
        constraints it saw then."""
        for model in self._watch.models():
            if keras_internals.has_train_function(model):
                model.make_train_function(force=True)


def _stepping(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """The optimizer that makes the step: the inner one under loss scaling."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def _hide_from_files(
    optimizer: keras.optimizers.Optimizer, mask_variables: list[keras.Variable]
) -> None:
    """Let an optimizer save and load itself as if the masks' variables were not there."""

    def without_masks(
        method: Callable[..., None], part: keras.optimizers.Optimizer
    ) -> Callable[..., None]:
        def call(store: Any) -> None:
            for variable in mask_variables:
                keras_internals.untrack(_stepping(optimizer), variable)
            try:
                method(part, store)
            finally:
                # In the same order: a compiled step knows its variables by their position.
                for variable in mask_variables:
                    keras_internals.track(_stepping(optimizer), variable)

        return call

    # Set on the instances: they keep their classes.
    for part in {optimizer, _stepping(optimizer)}:
        for method in (type(part).save_own_variables, type(part).load_own_variables):
            object.__setattr__(part, method.__name__, without_masks(method, part))


def _show_in_files(optimizer: keras.optimizers.Optimizer) -> None:
    for part in {optimizer, _stepping(optimizer)}:
        for method in ("save_own_variables", "load_own_variables"):
            object.__delattr__(part, method)


def _same(some: Iterable[object], others: Iterable[object]) -> bool:
    return list(map(id, some)) == list(map(id, others))
