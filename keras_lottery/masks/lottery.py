"""`Lottery`: the one owner of the masks over a Keras model."""

import dataclasses
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np

from keras_lottery import scorers
from keras_lottery.core import hold_at, lookup, made, restart_from
from keras_lottery.core.kernel import Kernel, check_seed
from keras_lottery.core.recipe import How, Recipe, as_recipe
from keras_lottery.core.streams import stream
from keras_lottery.masks import events, integrity, left_out, listing, masking
from keras_lottery.masks.attachment import Attachment
from keras_lottery.masks.rewinding import Training
from keras_lottery.masks.snapshot import Snapshot, State
from keras_lottery.masks.watch import Watch
from keras_lottery.model import adapters, trainers, variables
from keras_lottery.model.arrays import array
from keras_lottery.scorers._fingerprint import fingerprint


class Lottery:
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
            is told otherwise. Its kernels (`include`, `exclude`) and what it holds pruned weights
            at (`hold_at`) are fixed from here on. By default all kernels are taken that are trained
            (frozen ones are named in a warning; of a model that is wholly frozen, all are taken)
            and are not depthwise.
        optimizer: Optimizers that train the model in a loop of your own and that the model does not
            know: one, or a list.
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
            held={},
            previous={},
            point=self._training.save(step=0),
        )
        self.attach()
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
        """The masks that a pruned model lost when it was stripped, or saved and loaded again.

        So work on a pruned model goes on: `Lottery.from_zeros(keras.models.load_model(path))`. What
        is exactly zero in its kernels counts as pruned. The arguments are those of `Lottery`.

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
                "that zeros do not tell which they are."
            )
        masks = {name: array(kernel) != 0 for name, kernel in kernels.items()}
        return cls(model, recipe, optimizer=optimizer, seed=seed, masks=masks)

    @staticmethod
    def on(model: keras.Model) -> "Lottery | None":
        """The `Lottery` attached to a model, or `None`."""
        owners = map(masking.lottery_of, variables.named(model).values())
        return next((lottery for lottery in owners if lottery is not None), None)

    def __repr__(self) -> str:
        return listing.short(self.model.name, self._state.masks)

    def __deepcopy__(self, memo):
        raise TypeError(
            "A Lottery belongs to the variables of one model and cannot be copied: put its ticket "
            "on a copy of the model, `Ticket.of(lottery).apply(copy)`."
        )

    __copy__ = __reduce__ = lambda self, memo=None: self.__deepcopy__(memo)

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
        """How many weights of each kernel are alive."""
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
        """Whether every kernel carries its mask."""
        return self._attachment.is_attached()

    @property
    def holds_nonzero(self) -> bool:
        """Whether pruned weights of some kernel are held at values of their own, not at zero."""
        return bool(self._frozen())

    def _frozen(self) -> set[str]:
        """The kernels whose pruned weights are held at values of their own."""
        return {name for name, recipe in self._recipes.items() if recipe.hold_at != "zero"}

    def record_search(self, record: Mapping[str, Any]) -> None:
        """Note how the masks are being searched for: what tickets say of it.

        Args:
            record: JSON-able values by name, such as the door and its amounts. The fingerprint of
                the data that was measured with is added.
        """
        self._state.search = {**record, "data": self._state.search.get("data")}

    @property
    def state(self) -> State:
        """All that the `Lottery` knows beside the model: what a backup must hold. Not a copy."""
        return self._state

    def load_state(self, state: State) -> None:
        """Go on from a state of before; the weights are not changed but where the masks say so.

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

    # Attaching.

    def attach(self) -> None:
        """Make the train step apply the masks.

        Done at creation, and by `Prune` when a fit begins. Call it again after `model.compile`,
        since on JAX the masks live in the optimizer.

        Raises:
            ValueError: If another `Lottery` is attached to the model.
        """
        if self._attachment.attach():
            self._write_masks()

    def detach(self) -> None:
        """Leave the model: the user's own constraints come back and nothing of ours remains.

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
        """Take notice of a model that is about to train the kernels, as a whole around them."""
        self._watch.meet(model)
        if self.attached:
            self.attach()

    def _require_attached(self) -> None:
        self._fill()
        self._attachment.require()
        self.attach()  # The model may have been compiled anew.

    # Pruning.

    def prune(
        self,
        sparsity: float | None = None,
        *,
        rate: float | None = None,
        overrides: Mapping[str, float] | None = None,
        recipe: How | None = None,
        data=None,
    ) -> None:
        """Prune the weights that a criterion ranks lowest. Exact: asked for k, it prunes k.

        Where there is nothing to prune, nothing changes: the kernels' `previous` neither.

        Args:
            sparsity: The fraction of all weights that is to be pruned afterwards, in [0, 1].
            rate: Or else the fraction of what remains that is to be pruned now, in [0, 1].
            overrides: Other values of `sparsity` or `rate` for some kernels: a dict from a regular
                expression, searched in the kernel's name, to the value. They hold in each of these
                kernels, whatever the scope, which is then over the others.
            recipe: Another recipe for this pruning, of the same `hold_at` and, if it says any, the
                same `include` and `exclude`; or another criterion alone. Defaults to the recipe
                that the `Lottery` was made with.
            data: What a criterion that measures looks at: a pair of arrays `(x, y)`, or batches of
                such pairs that can be read again.

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
        masks = self._event(data).pruned(recipe, sparsity, rate, overrides)
        before = self._state.masks
        self._change(masks)
        if self._state.masks is not before:
            own = variables.overridden(overrides, self.names)
            asked = {**dict.fromkeys(masks, rate if sparsity is None else sparsity), **own}
            integrity.warn_of_empty(before, masks, asked)
        amounts = {"sparsity": sparsity, "rate": rate, "overrides": dict(overrides or {})}
        self._note("Lottery.prune", recipe, data, amounts)

    def rewire(
        self,
        fraction: float,
        *,
        grow: str | Callable = "random",
        recipe: How | None = None,
        data=None,
    ) -> None:
        """Drop the live weights that rank lowest in each kernel, and grow as many others.

        Dynamic sparse training (SET; RigL with `grow="gradient"`): the sparsity stays, exactly. A
        weight that grows starts at zero, with the optimizers' slots at their initial value; one
        that was dropped in this very event and comes straight back keeps its value.

        Args:
            fraction: The fraction of each kernel's live weights to drop, in [0, 1].
            grow: Where to grow, by the highest scores among all that is then not alive: a criterion
                or scorer, or its name.
            recipe: As for `prune`. Its criterion says what is dropped, its scope must be
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

    def _event(self, data) -> events.Event:
        rng = stream(self.seed, "measure", self._state.events)
        return events.Event(self.model, self.names, self.records, data, rng)

    def _change(self, masks: Mapping[str, np.ndarray]) -> None:
        """Go by the masks of an event, and remember what the weights were, unless all is as before:
        a training that is taken up may ask again for what it has."""
        before = self._state.masks
        if all(np.array_equal(masks[name], old) for name, old in before.items()):
            return
        self.set_masks(masks)
        self._state.events += 1
        for name, kernel in self._kernels.items():  # the old go one by one: all may be gigabytes
            self._state.previous[name] = array(kernel)

    def _note(self, door: str, recipe: Recipe, data, amounts: Mapping[str, Any]) -> None:
        search = {"door": door, "recipe": recipe.to_json(), **made.to_json(amounts)}
        self._state.search = {**search, "data": fingerprint(data)}

    def set_masks(self, masks: Mapping[str, np.ndarray]) -> None:
        """Replace the masks, and put newly pruned weights where they are held.

        The optimizers' slots of weights that are pruned, or come back, go to their initial value.

        Args:
            masks: A dict from kernel name to boolean array of the kernel's shape, for every kernel.

        Raises:
            ValueError: If a kernel is missing or unknown, a mask has another shape or dtype, or
                Keras' Adafactor cannot train what is left.
            MaskError: If the masks were detached, a constraint set over them, or a kernel replaced.
        """
        masking.refuse_misfits(masks, self._kernels)
        self._require_attached()
        integrity.refuse_adafactor(self._watch.optimizers(), self._kernels, masks)
        held = {}
        for record in self.records("hold", self._frozen()):
            name, before = record.name, self._state.held.get(record.name)
            action = lookup.get(hold_at, self._recipes[name].hold_at)
            held[name] = masking.held_values(record, masks[name], before, action)
        dead = {name: ~(mask & masks[name]) for name, mask in self._state.masks.items()}
        self._state.masks = {name: np.array(masks[name]) for name in self._kernels}
        self._state.held = held
        self._training.reset_slots(self._kernels, dead)
        self._write_masks()
        self.enforce()

    def enforce(self) -> None:
        """Put every pruned weight, and an optimizer's moving average of it, where it is held.

        The train step does this by itself; needed after weights were changed from outside.

        Raises:
            MaskError: As from `set_masks`.
        """
        self._require_attached()
        for name, kernel in self._kernels.items():
            mask, held = self._state.masks[name], self._state.held.get(name)
            averages = [masking.average_of(one, kernel) for one in self._watch.optimizers()]
            for variable in (kernel, *averages):
                if variable is not None:
                    masking.enforce(variable, mask, held)

    def check(self) -> None:
        """Verify that every pruned weight has exactly the value it is held at.

        Warns where a layer computes with another kernel than the stored one, as with LoRA.

        Raises:
            MaskError: If one has not, as where training diverged (a mask does not hide NaN) or a
                step knows nothing of the masks; or a kernel was replaced, as by `quantize`.
        """
        self._require_attached()
        integrity.refuse_broken(self.records(), self._state.held, self._watch.unmasked())
        integrity.warn_of_adapters(self.revived_by_adapters(), self._state.masks)

    def revived_by_adapters(self) -> dict[str, int]:
        """How many pruned weights adapters (LoRA) make nonzero in the kernel that is computed with,
        by kernel name."""
        return adapters.revived_by_adapters(self.model, self._kernels, self._state.masks)

    def _write_masks(self) -> None:
        for name, kernel in self._kernels.items():
            kernel.constraint.write(self._state.masks[name], self._state.held.get(name))

    # Rewinding.

    def save_rewind_point(self, step: int = 0) -> None:
        """Save every variable of the model and its optimizer, to rewind to.

        Args:
            step: How many training steps came before, for the record.
        """
        self.check()
        self._state.point = self._training.save(step)

    def rewind(self, action: str | Callable[[Kernel], np.ndarray] | None = None) -> None:
        """Put every variable back to the rewind point: kernels masked, all else as it was, the
        optimizers too.

        What it draws depends on the seed and on how often was pruned or rewired: a rewind that is
        repeated draws the same.

        Args:
            action: What alive weights become: a function of `keras_lottery.restart_from` or its
                name. Defaults to the recipe's `restart_from`.

        Raises:
            ValueError: If there is no such function, or something cannot be rewound: a variable
                that was made since, or as from `rewind_optimizer`. Nothing is changed then.
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
        self.load_state(State(masks, held={}, previous={}, point=point))
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

    def records(
        self, purpose: str = "look", names: Collection[str] | None = None
    ) -> Iterator[Kernel]:
        """The records of kernels, as criteria and actions take them.

        Args:
            purpose: What they are for. It names the generators in them, with the seed and the
                number of events so far.
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
