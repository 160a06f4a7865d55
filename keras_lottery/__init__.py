"""Lottery tickets for Keras 3: prune, rewind, and ship sparse TFLite files."""

from keras_lottery import rewind
from keras_lottery.callbacks import Prune
from keras_lottery.core import criteria, granularity, kept, pruned, schedules, scopes
from keras_lottery.lottery import Lottery
from keras_lottery.masking import MaskError
from keras_lottery.rounds import Round, rounds
from keras_lottery.strip import strip
from keras_lottery.ticket import Ticket
from keras_lottery.ticket_file import TicketError
from keras_lottery.training import evaluator, fit

__version__ = "0.1.0"

__all__ = [
    "Lottery",
    "MaskError",
    "Prune",
    "Round",
    "Ticket",
    "TicketError",
    "criteria",
    "evaluator",
    "fit",
    "granularity",
    "kept",
    "pruned",
    "rewind",
    "rounds",
    "schedules",
    "scopes",
    "strip",
]
