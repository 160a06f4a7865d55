"""The landscape of the loss between networks: barriers, and the step from which training is stable.

Linear mode connectivity: Frankle et al. 2020, "Linear Mode Connectivity and the Lottery Ticket
Hypothesis", https://arxiv.org/abs/1912.05671. There two copies of a network are trained from one
step with other orders of the data; the network is stable if no point on the line between the two
has an error much above theirs, and rounds of pruning find matching tickets where it is.
`linearised` makes the network that training would see if the landscape were that of its first-order
expansion.
"""

from keras_lottery.landscape.barriers import Barrier, barrier
from keras_lottery.landscape.linearised import linearised
from keras_lottery.landscape.stability import choose_rewind_step, instability

__all__ = ["Barrier", "barrier", "choose_rewind_step", "instability", "linearised"]
