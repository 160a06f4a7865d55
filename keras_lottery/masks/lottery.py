"""`Lottery`: the one owner of the masks over a Keras model."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np

from keras_lottery import scorers
from keras_lottery.core import lookup, made, restart_from
from keras_lottery.core.kernel import Kernel
from keras_lottery.core.recipe import How, Recipe, as_recipe
from keras_lottery.core.streams import stream
from keras_lottery.masks import events, integrity, left_out, masking
from keras_lottery.masks.masked_kernels import MaskedKernels
from keras_lottery.masks.snapshot import Snapshot, State
from keras_lottery.model import variables
from keras_lottery.model.arrays import array
from keras_lottery.scorers._fingerprint import fingerprint


class Lottery(MaskedKernels):
    """The masks over a Keras model's kernels, and the values they rewind to.

    The model is not wrapped and no layer changes: a mask lives beside its kernel and is applied
    inside the compiled train step, to the kernel's gradient before the optimizer sees it and to the
    kernel after its update, after a constraint of the user's own. So `f(x; mask * weights)` is
    trained, whatever the optimizer. After `detach` the model is as if there had been no masks;
    zeros stay in its weights.

    Creating a `Lottery` attaches it and saves the rewind point "now".

    Masks hold wherever the kernels are trained: in `fit`, in `keras_lottery.fit`, in a loop that
    calls `optimizer.apply`, through a model that this one is a part of. On JAX an optimizer has to
    be known to the masks, or the step fails while it is traced: the model's own, that of a compiled
    model around it, or one that is named here.

    Args:
        model: A built `keras.Model`. Compile it first if its optimizer is to be rewound too.
        recipe: A `keras_lottery.Recipe`, or a criterion alone: how `prune` ranks weights unless it
            gets another one. Its kernels (`include`, `exclude`) and where it holds pruned weights
                (`hold_at`) are fixed from here on. By default all kernels are masked that are
                trained and not depthwise; a warning names frozen kernels, and in a model that is
                wholly frozen all are masked.
        optimizer: One or several optimizers that train the model in a loop of your own and that the
            model does not know.
        seed: Seed of every random choice made here.
        masks: The masks to begin with, as for `set_masks`. By default all is alive, with a warning
            where kernels look pruned.

    Raises:
        ValueError: If an argument is wrong, or the model is not built or has masks already.

    Example:

    >>> model = keras.Sequential([keras.Input((10,)), keras.layers.Dense(5, name="fc1")])
    >>> lottery = Lottery(model)
    >>> lottery.prune(0.8)
    >>> lottery.sparsity, lottery.alive_counts
    (0.8, {'fc1/kernel': 10})
    """

    def __init__(
        self,
        model: keras.Model,
        recipe: How = Recipe(),  # noqa: B008 (a frozen record)
        *,
        optimizer: keras.optimizers.Optimizer | Iterable[keras.optimizers.Optimizer] = (),
        seed: int = 0,
        masks: Mapping[str, np.ndarray] | None = None,
    ):
        super().__init__(model, recipe, optimizer, seed, masks)
        integrity.warn_of_earlier_steps(self._watch.outside_fit())
        left_out.warn(model, self.recipe.include, self.recipe.exclude)
        if masks is None:
            values = self._state.point.values
            integrity.warn_of_zeros({name: values[name] for name in self._kernels})
        else:
            self.set_masks(masks)

    @classmethod
    def from_zeros(
        cls,
        model: keras.Model,
        recipe: How = Recipe(),  # noqa: B008 (a frozen record)
        *,
        optimizer: keras.optimizers.Optimizer | Iterable[keras.optimizers.Optimizer] = (),
        seed: int = 0,
    ) -> "Lottery":
        """Make anew the masks that a pruned model lost when it was stripped, or saved and loaded.

        Use it to go on with a pruned model: `Lottery.from_zeros(keras.models.load_model(path))`.
        Weights that are exactly zero count as pruned. The arguments are those of `Lottery`.

        Raises:
            ValueError: As from `Lottery`; or the recipe holds pruned weights at other values than
                zero.
        """
        recipe = as_recipe(recipe)
        kernels = variables.prunable(model, recipe.include, recipe.exclude)
        holding = [n for n, one in recipe.of_kernels(kernels).items() if one.hold_at != "zero"]
        if holding:
            raise ValueError(
                f"`recipe` holds the pruned weights of {holding} at other values than zero, so "
                "that zeros do not tell which weights are pruned."
            )
        masks = {name: array(kernel) != 0 for name, kernel in kernels.items()}
        integrity.warn_of_no_zeros(masks.values())
        return cls(model, recipe, optimizer=optimizer, seed=seed, masks=masks)

    @staticmethod
    def on(model: keras.Model) -> "Lottery | None":
        """The `Lottery` attached to a model, or `None`."""
        owners = map(masking.lottery_of, variables.named(model).values())
        return next((lottery for lottery in owners if lottery is not None), None)

    # Pruning.

    def prune(
        self,
        sparsity: float | None = None,
        *,
        rate: float | None = None,
        overrides: Mapping[str, float] | None = None,
        recipe: How | None = None,
        data: Any = None,
        rounds: int = 1,
    ) -> None:
        """Prune the weights that a criterion ranks lowest: asked for k weights, it prunes exactly
        k.

        Where there is nothing to prune, nothing changes, not even the kernels' `previous`.

        Args:
            sparsity: The fraction of all weights that is pruned afterwards, in [0, 1].
            rate: Or else the fraction of the live weights to prune now, in [0, 1].
            overrides: Other values of `sparsity` or `rate` for some kernels: a dict from a regular
                expression, searched in the kernel's name, to the value. They hold in each of these
                kernels, whatever the scope, which is then over the others.
            recipe: Another recipe for this pruning, of the same `hold_at` and, if it says any, the
                same `include` and `exclude`; or another criterion alone. Defaults to the recipe
                that the `Lottery` was made with.
            data: The data that a criterion such as `"snip"` measures with: a pair of arrays
                `(x, y)`, or batches of such pairs that can be read again.
            rounds: In how many prunings `sparsity` is reached, without training between them: each
                leaves the same share of what was alive before it. For scorers of what is left, such
                as `synflow` with 100.

        Raises:
            ValueError: If not exactly one of `sparsity` and `rate` is given, or a value is out of
                range, a name or pattern matches nothing, a weight or score is not finite, or all
                are scored alike, as by `movement` before any training; or `data` is missing, or
                nothing measures it; or `recipe` is for other kernels.
            MaskError: As from `check` and `set_masks`.
        """
        recipe = events.later(recipe or self.recipe, self.recipe, self.names)
        scorers.check(recipe.of_kernels(self.names).values(), data=data)
        self.check()
        before = self.alive_counts
        amounts = events.amounts(self.masks, sparsity, overrides, rounds)
        with self._all_or_nothing() if rounds > 1 else contextlib.nullcontext():
            for one, others in amounts:
                self._change(self._event(data).pruned(recipe, one, rate, others))
        own = variables.overridden(overrides, self.names)
        asked = {**dict.fromkeys(before, rate if sparsity is None else sparsity), **own}
        integrity.warn_of_empty(before, self.alive_counts, asked)
        said = {"sparsity": sparsity, "rate": rate, "overrides": dict(overrides or {})}
        if rounds > 1:
            said["rounds"] = rounds
        self._note("Lottery.prune", recipe, data, said)

    def rewire(
        self,
        fraction: float,
        *,
        grow: str | Callable = "random",
        recipe: How | None = None,
        data: Any = None,
    ) -> None:
        """Drop the live weights that rank lowest in each kernel, and grow as many others.

        This is dynamic sparse training (SET; RigL with `grow="gradient"`): the sparsity stays. A
        weight that grows starts at zero, with the optimizers' slots at their initial value; one
        that was dropped in this very event and comes straight back keeps its value.

        Args:
            fraction: The fraction of each kernel's live weights to drop, in [0, 1].
            grow: A criterion or scorer, or its name: of the weights that are then not alive, those
                with the highest scores grow.
            recipe: As for `prune`. Its criterion ranks what is dropped, its scope must be
                `"layerwise"`, and its granularity single weights, blocks or units.
            data: As for `prune`.

        Raises:
            ValueError: If `fraction` is out of range, the scope or granularity is another, pruned
                weights are held at other values than zero, or as from `prune`.
            MaskError: As from `check` and `set_masks`.

        Example:

        >>> model = keras.Sequential([keras.Input((10,)), keras.layers.Dense(5, name="fc1")])
        >>> lottery = Lottery(model)
        >>> lottery.prune(0.8)
        >>> lottery.rewire(0.3)
        >>> lottery.alive_counts
        {'fc1/kernel': 10}
        """
        recipe = events.later(recipe or self.recipe, self.recipe, self.names)
        events.refuse_what_cannot_grow(recipe, self.names)
        growing = dataclasses.replace(recipe, criterion=grow, include=None, otherwise=())
        scorers.check([*recipe.of_kernels(self.names).values(), growing], data=data)
        self.check()
        self._change(self._event(data).rewired(recipe, fraction, grow))
        self._note("Lottery.rewire", recipe, data, {"fraction": fraction, "grow": grow})

    def _event(self, data: Any) -> events.Event:
        rng = stream(self.seed, "measure", self._state.events)
        return events.Event(self.model, self.names, self.records, data, rng)

    def _change(self, masks: dict[str, np.ndarray]) -> None:
        """Go by the masks of an event, and remember what the weights were, unless all is as before:
        a training that is taken up may ask again for what it has."""
        before = self._state.masks
        if all(np.array_equal(masks[name], old) for name, old in before.items()):
            return
        self._go_by({name: masks[name] for name in self._kernels})
        self._state.events += 1
        for name, kernel in self._kernels.items():  # the old go one by one: all may be gigabytes
            self._state.previous[name] = array(kernel)

    @contextlib.contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Put everything back if a later event fails."""
        state = self._state
        before = dataclasses.replace(state, masks=self.masks, previous=dict(state.previous))
        now = self._training.save(state.point.step)
        try:
            yield
        except Exception:
            self.load_state(before)
            self._training.restore(now, {})
            raise

    def _note(self, door: str, recipe: Recipe, data: Any, amounts: Mapping[str, Any]) -> None:
        search = {"door": door, "recipe": recipe.to_json(), **made.to_json(amounts)}
        self._state.search = {**search, "data": fingerprint(data)}

    def record_search(self, record: Mapping[str, Any]) -> None:
        """Note how the masks are searched for, so that tickets can say it.

        Args:
            record: JSON-able values by name, such as the amounts. The fingerprint of the data that
                was measured with is added.
        """
        self._state.search = {**record, "data": self._state.search.get("data")}

    @property
    def sign_flips(self) -> dict[str, float]:
        """By kernel, the share of live weights whose sign is another than at the rewind point."""
        return {
            record.name: float(
                np.mean((np.sign(record.current) != np.sign(record.initial))[record.mask])
            )
            if record.mask.any()
            else 0.0
            for record in self.records()
        }

    # Rewinding.

    def save_rewind_point(self, step: int = 0) -> None:
        """Save every variable of the model and its optimizer, to rewind to.

        Args:
            step: How many training steps came before, for the record.
        """
        self.check()
        self._state.point = self._training.save(step)

    def rewind(self, action: str | Callable[[Kernel], np.ndarray] | None = None) -> None:
        """Put every variable back to the rewind point, the optimizers' too, and mask the kernels.

        Random choices depend on the seed and on the number of prunings and rewirings so far: a
        rewind that is repeated makes the same ones.

        Args:
            action: What live weights become: a function of `keras_lottery.restart_from` or its
                name. Defaults to the recipe's `restart_from`.

        Raises:
            ValueError: If there is no such function, or something cannot be rewound: a variable
                that was made since, or as from `rewind_optimizer`. Nothing changes then.
            MaskError: As from `set_masks`.
        """
        actions = {
            name: lookup.get(restart_from, action or recipe.restart_from)
            for name, recipe in self._recipes.items()
        }
        self._require_attached()
        self._training.refuse_what_cannot_go_back(self._state.point)
        starts = {record.name: actions[record.name](record) for record in self.records("restart")}
        self._training.restore(self._state.point, starts)
        self._forget_the_pruned()
        self.enforce()

    def begin_again(self, point: Snapshot, seed: int) -> None:
        """Start anew, without masks, from another point and with another seed.

        Args:
            point: The rewind point from now on.
            seed: The seed from now on.
        """
        self.seed = seed
        masks = {name: np.ones_like(mask) for name, mask in self._state.masks.items()}
        self.load_state(State(masks, held_values={}, previous={}, point=point))
        self.rewind("rewind")

    def rewind_optimizer(self) -> None:
        """Put the optimizers back to the rewind point: iteration count, learning rate and slots.

        Raises:
            ValueError: If the model was compiled anew since a rewind point that was saved during
                training.
        """
        self._training.refuse_optimizers_that_cannot(self._state.point)
        self._training.restore_optimizers(self._state.point)
        self._forget_the_pruned()

    def _forget_the_pruned(self) -> None:
        """Slots at a rewind point after step 0 know weights that were alive then."""
        if self._state.point.step:
            dead = {name: ~mask for name, mask in self._state.masks.items()}
            self._training.reset_slots(self._kernels, dead)
