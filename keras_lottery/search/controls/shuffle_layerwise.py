"""The ticket's initial values under its own masks, permuted in each kernel."""

from keras_lottery.core.streams import stream
from keras_lottery.masks.lottery import Lottery
from keras_lottery.masks.snapshot import Snapshot
from keras_lottery.search.controls._start import Start


def shuffle_layerwise(control: Lottery, fresh: Snapshot, start: Start, seed: int) -> None:
    """Permutes each kernel's mask weight by weight: its counts are the ticket's, exactly."""
    start.put(control, seed)
    rng = stream(seed, "shuffle")
    control.set_masks(
        {
            name: rng.permutation(mask.ravel()).reshape(mask.shape)
            for name, mask in start.masks_of(control).items()
        }
    )
    control.rewind(start.action)
