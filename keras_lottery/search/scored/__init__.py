"""Masks that train: every kernel stays as it is, and a score for each weight learns.

`edge_popup`, `biprop` and `supermask` make a `keras.Model` around yours, which you compile, train
by `fit` or `keras_lottery.fit` and evaluate as any other; what it has found is its `ticket`. A file
is a way, a function that makes a `network.ScoredNetwork` with a `network.Method`.
"""

from keras_lottery.search.scored.biprop import biprop
from keras_lottery.search.scored.edge_popup import edge_popup
from keras_lottery.search.scored.supermask import supermask

__all__ = ["biprop", "edge_popup", "supermask"]
