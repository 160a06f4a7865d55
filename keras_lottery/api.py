"""The public names: `keras_lottery` loads this module when the first of them is asked for."""

from keras_lottery import landscape, scorers
from keras_lottery.core import criteria, granularity, hold_at, restart_from, schedules, scopes
from keras_lottery.core.recipe import Recipe
from keras_lottery.masks.lottery import Lottery
from keras_lottery.masks.masking import MaskError
from keras_lottery.masks.shrink import ShrinkReport, shrink, shrink_report
from keras_lottery.masks.strip import strip
from keras_lottery.masks.tfmot import import_tfmot
from keras_lottery.search import rewind, scored
from keras_lottery.search.early_bird import EarlyBird
from keras_lottery.search.prune import Prune
from keras_lottery.search.rewire import Rewire
from keras_lottery.search.rounds import Round, rounds
from keras_lottery.tickets.file import TicketError
from keras_lottery.tickets.ticket import Ticket
from keras_lottery.training import evaluator, fit
from keras_lottery.training.recalibrate import recalibrate

__all__ = [
    "EarlyBird",
    "Lottery",
    "MaskError",
    "Prune",
    "Recipe",
    "Rewire",
    "Round",
    "ShrinkReport",
    "Ticket",
    "TicketError",
    "criteria",
    "evaluator",
    "fit",
    "granularity",
    "hold_at",
    "import_tfmot",
    "landscape",
    "recalibrate",
    "restart_from",
    "rewind",
    "rounds",
    "schedules",
    "scopes",
    "scored",
    "scorers",
    "shrink",
    "shrink_report",
    "strip",
]
