"""The flags of a search for a ticket, beside those of `experiments/flags.py`."""

from absl import flags

from experiments.flags import HERE, LIBRARY, files, functions
from keras_lottery.core import criteria, hold_at, restart_from

flags.DEFINE_string("method", "iterative", f"Way to a ticket: {files(HERE / 'methods')}.")
flags.DEFINE_string(
    "criterion",
    "large_final",
    f"What ranks the weights: {functions(criteria)}; or, measured with data, "
    f"{files(LIBRARY / 'scorers')}.",
)
flags.DEFINE_integer(
    "scored_images",
    256,
    "Training images that a scorer such as snip measures with, as many of each class.",
    lower_bound=1,
)
flags.DEFINE_string(
    "grow", "gradient", "What grows with --method=rewire: gradient (RigL) or random (SET)."
)
flags.DEFINE_float(
    "scores_learning_rate",
    None,
    "Learning rate of scores where masks train. Default: the training's, or 100 for supermask.",
    lower_bound=0,
)
flags.DEFINE_string(
    "restart_from", "rewind", f"What survivors restart from: {functions(restart_from)}."
)
flags.DEFINE_string("hold_at", "zero", f"Where pruned weights are held: {functions(hold_at)}.")
flags.DEFINE_string(
    "rewind",
    "start",
    "Where to rewind to: start, step:500, epoch:2; learning_rate rewinds only the optimizer, "
    "none trains on. From an epoch, training goes on with the batches of the next one; from a "
    "step, the order of the batches restarts at the first.",
)
flags.DEFINE_list(
    "controls",
    None,
    f"Controls to compare the ticket with: {files(LIBRARY / 'search' / 'controls')}. "
    "Default: reinit, where the method has any.",
)
flags.DEFINE_list("control_rounds", [], "Rounds that have controls, as in 5,10,15. Default: all.")
flags.DEFINE_float(
    "within",
    None,
    "Points of accuracy below the dense network that count as none. Default: 0.3, or what one "
    "validation image weighs if that is more.",
    lower_bound=0,
)
