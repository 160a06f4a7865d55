"""The ticket's masks on weights that are drawn anew (Frankle & Carbin 2019, section 2)."""

from keras_lottery.masks.lottery import Lottery
from keras_lottery.masks.snapshot import Snapshot
from keras_lottery.search.controls._start import Start


def reinit(control: Lottery, fresh: Snapshot, start: Start, seed: int) -> None:
    """Keeps the ticket's masks, and draws all kernels anew.

    It starts from initialisation, not from the rewind point: after a late rewind, biases and
    optimizer slots carry what the dense network learned.
    """
    control.begin_again(fresh, seed)
    control.set_masks(start.masks_of(control))
    control.rewind("reinit")
