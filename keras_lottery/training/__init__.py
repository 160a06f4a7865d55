"""Training at the speed of the hardware: many steps in one compiled call.

`fit` has the face of `keras.Model.fit`, `evaluator` computes what `evaluate` does. Below them:

- `source`, over `data` and `dataset`: what is trained on, in memory, in the order a seed gives;
- `choice`: which way a model is trained, and why; a rule, never a timing;
- `fused`: training with fused steps, `loop` around those of `tensorflow_steps` or `jax_steps`;
- `plain`: training by `model.fit`, over the same batches.
"""

from keras_lottery.training.evaluator import evaluator
from keras_lottery.training.fit import fit

__all__ = ["evaluator", "fit"]
