"""`Lottery`: the one owner of the masks over a Keras model."""

from collections.abc import Callable, Iterator, Mapping

import keras
import numpy as np

from keras_lottery import masking, variables
from keras_lottery.core import criteria, lookup, scopes
from keras_lottery.core import kept as kept_actions
from keras_lottery.core import pruned as pruned_actions
from keras_lottery.core.granularity import Granularity
from keras_lottery.core.kernel import Kernel, check_seed
from keras_lottery.core.prune import prune
from keras_lottery.snapshot import Snapshot, State, array


class Lottery:
    """The masks over a Keras model's kernels, and the values they rewind to.

    The model is not wrapped and no layer changes: a mask lives beside its kernel and is applied by
    the optimizer inside the compiled train step, as the kernel's constraint, after one of the
    user's own. After `detach` the model is as if there had been no masks; zeros stay in its
    weights.

    Creating a `Lottery` attaches it and saves the rewind point "now".

    Args:
        model: A built `keras.Model`. Compile it first if its optimizer is to be rewound too.
        include: Regular expression or predicate `(name, shape) -> bool`: which kernels to prune.
            Defaults to all.
        exclude: Likewise, which of those to leave alone.
        pruned: What pruned weights are held at: a function of `keras_lottery.core.pruned` or its
            name.
        seed: Seed of every random choice made here.
        masks: The masks to begin with, as for `set_masks`. By default all is alive, with a warning
            where kernels look pruned.

    Raises:
        ValueError: If an argument is wrong, or the model is not built or has masks already.

    Example:

    >>> model = keras.Sequential([keras.Input((10,)), keras.layers.Dense(5, name="fc1")])
    >>> lottery = Lottery(model)
    >>> lottery.prune(0.8)
    >>> lottery.sparsity, lottery.remaining
    (0.8, {'fc1/kernel': 10})
    """

    def __init__(
        self,
        model: keras.Model,
        include: variables.Selector | None = None,
        exclude: variables.Selector | None = None,
        pruned: str | Callable[[Kernel], np.ndarray] = "zero",
        seed: int = 0,
        masks: Mapping[str, np.ndarray] | None = None,
    ):
        check_seed(seed)
        self.model = model
        self.seed = seed
        self._kernels = variables.prunable(model, include, exclude)
        if masks is not None:
            masking.refuse_misfits(masks, self._kernels)
        self.pruned = lookup.get(pruned_actions, pruned)
        self._stateful_optimizer, self._step_variables = None, []
        point = Snapshot.take(model, step=0, ours=[])
        self._state = State(
            masks={name: np.ones(kernel.shape, bool) for name, kernel in self._kernels.items()},
            held={},
            previous={},
            point=point,
            draws=0,
        )
        self.attach()
        if masks is None:
            masking.warn_of_zeros({name: point.values[name] for name in self._kernels})
        else:
            self.set_masks(masks)

    @classmethod
    def from_zeros(cls, model: keras.Model, include=None, exclude=None, seed=0) -> "Lottery":
        """The masks that a pruned model lost when it was stripped, or saved and loaded again.

        What is exactly zero in its kernels counts as pruned. The arguments are those of `Lottery`.
        """
        kernels = variables.prunable(model, include, exclude)
        masks = {name: array(kernel) != 0 for name, kernel in kernels.items()}
        return cls(model, include, exclude, seed=seed, masks=masks)

    @staticmethod
    def of(model: keras.Model) -> "Lottery | None":
        """The `Lottery` attached to a model, or `None`."""
        owners = map(masking.lottery_of, variables.named(model).values())
        return next((lottery for lottery in owners if lottery is not None), None)

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
    def remaining(self) -> dict[str, int]:
        """How many weights of each kernel are alive."""
        return {name: int(np.count_nonzero(self._state.masks[name])) for name in self._kernels}

    @property
    def sparsities(self) -> dict[str, float]:
        """The fraction of each kernel's weights that is pruned, in [0, 1]."""
        return {
            name: 1 - alive / self._state.masks[name].size for name, alive in self.remaining.items()
        }

    @property
    def sparsity(self) -> float:
        """The fraction of all kernels' weights that is pruned, in [0, 1]."""
        return 1 - sum(self.remaining.values()) / sum(
            mask.size for mask in self._state.masks.values()
        )

    @property
    def holds(self) -> bool:
        """Whether pruned weights are held at values of their own, rather than zero."""
        return self.pruned is not pruned_actions.zero

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
        optimizer = masking.stateful_optimizer(self.model)
        if len(self._masked()) == len(self._kernels) and optimizer is self._stateful_optimizer:
            return
        self.detach()
        if Lottery.of(self.model) is not None:
            raise ValueError(
                f"The model {self.model.name!r} has masks already: use `Lottery.of(model)` to go "
                "on from them, or `strip(model)` to take them off."
            )
        self._step_variables = masking.attach(self, self.model, self._kernels.values(), self.holds)
        self._stateful_optimizer = optimizer
        self._write_masks()

    def detach(self) -> None:
        """Leave the model: the user's own constraints come back and nothing of ours remains.

        The weights stay as they are, zeros included.
        """
        optimizer, ours = self._stateful_optimizer, self._step_variables
        masking.detach(self.model, self._masked(), optimizer, ours)
        self._stateful_optimizer, self._step_variables = None, []

    def _masked(self) -> list[keras.Variable]:
        """The kernels that carry a constraint of ours."""
        return [k for k in self._kernels.values() if masking.lottery_of(k) is self]

    def _require_attached(self) -> None:
        variables.fill(self.model)
        masking.refuse_detached(self, self._kernels)
        self.attach()  # The model may have been compiled anew.

    # Pruning.

    def prune(
        self,
        sparsity: float | None = None,
        *,
        rate: float | None = None,
        overrides: Mapping[str, float] | None = None,
        criterion: str | Callable[[Kernel], np.ndarray] = "large_final",
        scope: str | Callable = "layerwise",
        granularity: Granularity | None = None,
    ) -> None:
        """Prune the weights that a criterion ranks lowest. Exact: asked for k, it prunes k.

        Where there is nothing to prune, nothing changes: the kernels' `previous` neither.

        Args:
            sparsity: The fraction of all weights that is to be pruned afterwards, in [0, 1].
            rate: Or else the fraction of what remains that is to be pruned now, in [0, 1].
            overrides: Other values of `sparsity` or `rate` for some kernels: a dict from a regular
                expression, searched in the kernel's name, to the value. They hold in each of these
                kernels, whatever the scope, which is then over the others.
            criterion: A function `Kernel -> scores` (higher is kept), or the name of one in
                `keras_lottery.criteria`.
            scope: A function `(scores, masks, counts) -> masks`, or the name of one in
                `keras_lottery.scopes`: where the counts hold, in each kernel or over all of them.
            granularity: What is pruned as one: a granularity of `keras_lottery.granularity`.
                Defaults to single weights.

        Raises:
            ValueError: If not exactly one of `sparsity` and `rate` is given, or a value is out of
                range, a name or pattern matches nothing, a weight or score is not finite, or all
                are scored alike, as by `movement` before any training.
            MaskError: As from `set_masks`.
        """
        masks = prune(
            self.records(),
            sparsity=sparsity,
            rate=rate,
            overrides=variables.overridden(overrides, self.names),
            criterion=lookup.get(criteria, criterion),
            scope=lookup.get(scopes, scope),
            granularity=granularity,
        )
        if all(np.array_equal(masks[name], old) for name, old in self._state.masks.items()):
            return
        self.set_masks(masks)
        self._state.draws += 1
        for name, kernel in self._kernels.items():  # the old go one by one: all may be gigabytes
            self._state.previous[name] = array(kernel)

    def set_masks(self, masks: Mapping[str, np.ndarray]) -> None:
        """Replace the masks, and put newly pruned weights where they are held.

        Args:
            masks: A dict from kernel name to boolean array of the kernel's shape, for every kernel.

        Raises:
            ValueError: If a kernel is missing or unknown, or a mask has another shape or dtype.
            MaskError: If the masks were detached, or a constraint set over them.
        """
        masking.refuse_misfits(masks, self._kernels)
        self._require_attached()
        held = {}
        if self.holds:
            for record in self.records():
                name, before = record.name, self._state.held.get(record.name)
                held[name] = masking.held_values(record, masks[name], before, self.pruned)
        self._state.masks = {name: np.array(masks[name]) for name in self._kernels}
        self._state.held = held
        self._write_masks()
        self.enforce()

    def enforce(self) -> None:
        """Put every pruned weight, and an optimizer's moving average of it, where it is held.

        The train step does this by itself; needed after weights were changed from outside.

        Raises:
            MaskError: As from `set_masks`.
        """
        self._require_attached()
        optimizer = variables.optimizer_of(self.model)
        for name, kernel in self._kernels.items():
            for variable in (kernel, masking.average_of(optimizer, kernel)):
                if variable is not None:
                    masking.enforce(variable, self._state.masks[name], self._state.held.get(name))

    def check(self) -> None:
        """Verify that every pruned weight has exactly the value it is held at.

        Raises:
            MaskError: If one has not, as where training diverged: a mask does not hide NaN.
        """
        self._require_attached()
        for record in self.records():
            masking.refuse_broken(record, self._state.held.get(record.name))

    def _write_masks(self) -> None:
        for name, kernel in self._kernels.items():
            kernel.constraint.write(self._state.masks[name], self._state.held.get(name))

    # Rewinding.

    def save_rewind_point(self, step: int = 0) -> None:
        """Save every variable of the model and its optimizer, to rewind to.

        Args:
            step: How many training steps came before, for the record.
        """
        variables.fill(self.model)
        self._state.point = Snapshot.take(self.model, step, self._step_variables)

    def rewind(self, kept: str | Callable[[Kernel], np.ndarray] = "rewind") -> None:
        """Put every variable back to the rewind point: kernels masked, all else as it was, the
        optimizer too.

        Args:
            kept: What alive weights become: a function of `keras_lottery.core.kept` or its name.
                Defaults to their value at the rewind point.

        Raises:
            ValueError: If there is no such function; as from `rewind_optimizer`.
            MaskError: As from `set_masks`.
        """
        action = lookup.get(kept_actions, kept)
        self._require_attached()
        starts = {record.name: action(record) for record in self.records()}
        self._state.draws += 1
        for name, variable in variables.named(self.model).items():
            variable.assign(starts.get(name, self._state.point.values[name]))
        self.rewind_optimizer()
        self.enforce()

    def rewind_optimizer(self) -> None:
        """Put the optimizer back to the rewind point: iteration count, learning rate and slots.

        Raises:
            ValueError: If the model was compiled anew since a rewind point that was saved during
                training.
        """
        self._state.point.restore_optimizer(self.model, self._step_variables)

    def records(self) -> Iterator[Kernel]:
        """The record of every kernel, as criteria take it."""
        variables.fill(self.model)
        for position, (name, kernel) in enumerate(self._kernels.items()):
            yield Kernel(
                name=name,
                current=keras.ops.convert_to_numpy(kernel),
                initial=self._state.point.values[name],
                mask=self._state.masks[name],
                previous=self._state.previous.get(name, self._state.point.values[name]),
                # By position, not by name: Keras numbers unnamed layers anew in every build.
                rng=np.random.default_rng([self.seed, self._state.draws, position]),
                draw=variables.initializer(self.model, kernel),
            )
