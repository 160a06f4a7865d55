"""Models as sparse as a round's ticket that are no ticket, to compare it with."""

import dataclasses
import functools
import re
from collections.abc import Callable, Mapping

import keras
import numpy as np

from keras_lottery.core.granularity import Granularity
from keras_lottery.core.kernel import Kernel
from keras_lottery.masks.lottery import Lottery
from keras_lottery.masks.snapshot import Snapshot, State

# Where the draws of each kind begin: far above those of a search, which may have the same seed.
_DRAWS = {"reinit": 1_000_000, "random_mask": 2_000_000, "shuffle_layerwise": 3_000_000}


@dataclasses.dataclass(frozen=True)
class Start:
    """Where a round of a search starts, and its controls with it.

    Args:
        index: The round.
        masks: The masks of the ticket, in the order of the kernels.
        point: The rewind point.
        kept: What kept weights became, of `keras_lottery.core.kept`.
    """

    index: int
    masks: dict[str, np.ndarray]
    point: Snapshot
    kept: Callable[[Kernel], np.ndarray]


class Controls:
    """Makes the controls of a search: one model of each kind, so that Keras compiles it once.

    Args:
        make: Makes the `Lottery` of a new model.
        granularity: What the search prunes as one.
    """

    def __init__(self, make: Callable[[], Lottery], granularity: Granularity | None):
        self._make = make
        self._granularity = granularity
        self._made: dict[str, tuple[Lottery, Snapshot]] = {}

    def of(self, start: Start) -> dict[str, Callable[[int], keras.Model]]:
        """The controls of a round, whichever round the search is in when they are asked for.

        Args:
            start: Where the round starts.

        Returns:
            A dict from the name of a control to a function of a seed that makes its model.
        """
        kinds = {
            "reinit": self._reinit,
            "random_mask": self._random_mask,
            "shuffle_layerwise": self._shuffle_layerwise,
        }
        return {kind: functools.partial(make, start) for kind, make in kinds.items()}

    def _reinit(self, start: Start, seed: int) -> keras.Model:
        # Not where the ticket starts: late in training, biases and slots know the dense network.
        control, own = self._control("reinit")
        _move(control, own, _draws("reinit", start), seed)
        control.set_masks(_renamed(start.masks, control))
        control.rewind("reinit")
        return control.model

    def _random_mask(self, start: Start, seed: int) -> keras.Model:
        control = self._dense("random_mask", start, seed)
        sparsities = {
            f"^{re.escape(name)}$": 1 - np.count_nonzero(mask) / mask.size
            for name, mask in _renamed(start.masks, control).items()
        }
        control.prune(0.0, overrides=sparsities, criterion="random", granularity=self._granularity)
        control.rewind(start.kept)
        return control.model

    def _shuffle_layerwise(self, start: Start, seed: int) -> keras.Model:
        control = self._dense("shuffle_layerwise", start, seed)
        rng = np.random.default_rng([seed, _draws("shuffle_layerwise", start)])
        control.set_masks(
            {
                name: rng.permutation(mask.ravel()).reshape(mask.shape)
                for name, mask in _renamed(start.masks, control).items()
            }
        )
        control.rewind(start.kept)
        return control.model

    def _dense(self, kind: str, start: Start, seed: int) -> Lottery:
        """A control where the ticket starts, but dense; `make` may have drawn other values."""
        control, _ = self._control(kind)
        _move(control, start.point.moved_to(control.model), _draws(kind, start), seed)
        return control

    def _control(self, kind: str) -> tuple[Lottery, Snapshot]:
        """The one model of a kind, and its own start."""
        if kind not in self._made:
            control = self._make()
            self._made[kind] = control, control.state.point
        return self._made[kind]


def _draws(kind: str, start: Start) -> int:
    return _DRAWS[kind] + 4 * start.index  # a control of one round draws three times


def _move(control: Lottery, point: Snapshot, draws: int, seed: int) -> None:
    """Put a control at a point, without masks; it draws the same whatever it drew before."""
    control.seed = seed
    masks = {name: np.ones_like(mask) for name, mask in control.masks.items()}
    control.load_state(State(masks, held={}, previous={}, point=point, draws=draws))
    control.rewind()


def _renamed(named: Mapping[str, np.ndarray], control: Lottery) -> dict[str, np.ndarray]:
    """By the names of the control's kernels, where Keras may have numbered the layers anew."""
    return dict(zip(control.names, named.values(), strict=True))
