"""Training at the speed of the hardware: many steps in one compiled call.

`fit` takes the arguments of `keras.Model.fit`, `evaluator` computes what `evaluate` does. Below
them:

- `source`, over `data` and `dataset`: the training data in memory, in the order that a seed gives;
- `choice`: the rule, never a timing, by which a way to train is chosen;
- `fused`: training with fused steps, in the `loop` around `tensorflow_steps` or `jax_steps`;
- `plain`: training by `model.fit`, over the same batches.
"""

from keras_lottery.training.evaluator import evaluator
from keras_lottery.training.fit import fit

__all__ = ["evaluator", "fit"]
