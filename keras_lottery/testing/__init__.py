"""Contract suites: what every criterion, action, scope, granularity, schedule and scorer promises.

This package tests its own functions with these suites, and you can test yours. A suite tries a
function on small cases, and raises an `AssertionError` that says which promise it broke.
Provisional: names and cases may change with a minor version.

    from keras_lottery import testing

    def test_my_criterion():
        testing.check_criterion(my_criterion)
"""

from keras_lottery.testing.granularities import check_granularity
from keras_lottery.testing.kernels import check_action, check_criterion
from keras_lottery.testing.schedules import check_schedule
from keras_lottery.testing.scopes import check_scope
from keras_lottery.testing.scorers import check_scorer

__all__ = [
    "check_action",
    "check_criterion",
    "check_granularity",
    "check_schedule",
    "check_scope",
    "check_scorer",
]
