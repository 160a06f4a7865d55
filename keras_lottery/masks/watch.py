"""`Watch` knows who trains a model's kernels, and whether every step sees the masks."""

import gc
import weakref
from collections.abc import Iterable, Iterator, Mapping

import keras

from keras_lottery.model import keras_internals, trainers

# The optimizers that a `fit` with masks was given: the next `compile` leaves them behind, and a
# rewind point keeps them.
_met: weakref.WeakSet[keras.optimizers.Optimizer] = weakref.WeakSet()


class Watch:
    """Keeps an eye on the models and optimizers that train the kernels of one model.

    A step that was compiled before the masks were made runs none of our code. What can be seen is
    that an optimizer's iterations go on while none of its steps was traced with the masks.

    Args:
        model: The kernels' model.
        kernels: The variables that are masked, by name.
        named: Optimizers that the user named: one, or several.

    Raises:
        ValueError: If `named` is not an optimizer, or several.
    """

    def __init__(
        self,
        model: keras.Model,
        kernels: Mapping[str, keras.Variable],
        named: keras.optimizers.Optimizer | Iterable[keras.optimizers.Optimizer],
    ):
        self._model = model
        self._kernels = list(kernels.values())
        self._named = _as_list(named)
        around = trainers.find(self._kernels)
        self._around = [weakref.ref(other) for other in around.models if other is not model]
        self._before = weakref.WeakSet(around.optimizers)
        self._masked: weakref.WeakSet[keras.optimizers.Optimizer] = weakref.WeakSet()
        self._in_loops: weakref.WeakSet[keras.optimizers.Optimizer] = weakref.WeakSet()
        self._steps: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()

    def models(self) -> list[keras.Model]:
        """The model, and the compiled models that contain it."""
        around = [reference() for reference in self._around]
        return [self._model, *(model for model in around if model is not None)]

    def meet(self, model: keras.Model) -> None:
        """Note that a model, which may be new or compiled anew, trains the kernels from now on."""
        for optimizer in trainers.optimizers_of(model):
            _met.update(trainers.parts(optimizer))
        if not any(model is known for known in self.models()):
            self._around.append(weakref.ref(model))

    def optimizers(self) -> list[keras.optimizers.Optimizer]:
        """The optimizers that are known to train the kernels now."""
        own = [optimizer for model in self.models() for optimizer in trainers.optimizers_of(model)]
        return trainers.outermost([*own, *self._named, *self._masked, *self._in_loops])

    def outside_fit(self) -> list[keras.optimizers.Optimizer]:
        """Find optimizers that have stepped the kernels already, in compiled loops of the user's.

        The train function of a `fit` is traced anew from here. So is a step on JAX that is given
        the variables of an optimizer that holds masks from now on: it is given more of them.
        """
        retraced = {
            id(optimizer)
            for model in self.models()
            if keras_internals.has_train_function(model)
            for optimizer in trainers.optimizers_of(model)
        }
        if keras.backend.backend() == "jax":
            retraced |= set(map(id, self.optimizers()))

        def stepped_outside() -> list[keras.optimizers.Optimizer]:
            return [
                optimizer
                for optimizer in trainers.outermost([*self._before, *self.optimizers()])
                if id(optimizer) not in retraced
                and optimizer not in _met
                and trainers.steps_of(optimizer)
                and keras_internals.is_in_a_traced_step(optimizer)
            ]

        if stepped_outside():
            gc.collect()  # They may be what an earlier `compile` left behind.
        return stepped_outside()

    def begin(self, *, again: bool) -> None:
        """Note that masks are attached now: steps that were traced before do not know them.

        Args:
            again: Whether the masks were attached until now, elsewhere. Optimizers that stepped
                without them have not seen them yet.
        """
        unseen = {one: self._steps.get(one, 0) for one in self.unmasked()} if again else {}
        # Those of a loop of the user's stay known: no model has them.
        self._in_loops.update(one for one in self._masked if one not in _met)
        self._masked.clear()
        for one in [*self.optimizers(), *self._before]:
            self._steps[one] = unseen.get(one, trainers.steps_of(one))

    def note(self, optimizer: keras.optimizers.Optimizer) -> None:
        """Note that an optimizer steps, or traces a step, in which it sees the masks."""
        self._masked.add(optimizer)

    def unmasked(self) -> Iterator[keras.optimizers.Optimizer]:
        """Find the optimizers that have stepped without the masks since these were attached."""
        optimizers = trainers.find(self._kernels).optimizers
        for optimizer in trainers.outermost([*optimizers, *self.optimizers()]):
            more = trainers.steps_of(optimizer) > self._steps.get(optimizer, 0)
            if more and self._masked.isdisjoint(trainers.parts(optimizer)):
                yield optimizer


def _as_list(
    named: keras.optimizers.Optimizer | Iterable[keras.optimizers.Optimizer],
) -> list[keras.optimizers.Optimizer]:
    listed = list(named) if isinstance(named, Iterable) else [named]
    if not all(isinstance(one, keras.optimizers.Optimizer) for one in listed):
        raise ValueError(
            f"`optimizer` must be a Keras optimizer or a list of them, received {named!r}."
        )
    return listed
