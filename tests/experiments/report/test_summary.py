import dataclasses
import io

import pytest
from rich.console import Console

from experiments.report import summary
from experiments.results import Result


def result(variant, index, seed, accuracy, stop):
    return Result(
        variant,
        index,
        seed,
        piece="",
        measures={
            "sparsity": 1 - 0.5**index,
            "validation_accuracy": accuracy - 0.01,
            "test_accuracy": accuracy,
            "early_stopping_iteration": stop,
        },
    )


RESULTS = [
    result("dense", 0, 0, 0.980, 6000),
    result("dense", 0, 1, 0.984, 6200),
    result("ticket", 1, 0, 0.985, 4000),
    result("ticket", 1, 1, 0.987, 4400),
    result("ticket", 2, 0, 0.979, 3000),
    result("ticket", 2, 1, 0.980, 3000),
    result("ticket", 3, 0, 0.970, 3500),
    result("ticket", 3, 1, 0.972, 3500),
    result("random_mask", 2, 0, 0.95, 9000),
    result("random_mask", 2, 1, 0.96, 9000),
]

TABLE = """
                           random              random
        weights   ticket     mask    ticket      mask
 round  left, %  test, %  test, %  stops at  stops at
 ─────────────────────────────────────────────────────
 dense      100    98.20    98.20     6,100     6,100

     1     50.0    98.60              4,200
     2     25.0    97.95    95.50     3,000     9,000
     3     12.5    97.10              3,500
"""


def test_points_are_means_with_bands():
    assert summary.points(RESULTS, "ticket", "early_stopping_iteration")[0] == summary.Point(
        index=1, remaining=0.5, mean=4200.0, low=4000, high=4400, count=2
    )


def test_variants_come_in_order_of_appearance_without_the_dense_one():
    assert summary.variants(RESULTS) == ["ticket", "random_mask"]


@pytest.mark.parametrize(
    ("tolerance", "index"), [(0.003, 2), (0.0024, 1), (0.0025, 2), (0.011, 3), (-0.005, None)]
)
def test_the_smallest_ticket_is_chosen_by_validation(tolerance, index):
    found = summary.smallest_within(RESULTS, "ticket", tolerance)
    assert (found and found.index) == index


def test_the_table():
    output = io.StringIO()
    Console(file=output, width=80).print(summary.table(RESULTS, summary.COLUMNS))
    lines = [line.rstrip() for line in output.getvalue().splitlines()]
    assert "\n".join(lines).strip("\n") == TABLE.strip("\n")


def test_the_findings_are_read_off_the_results():
    assert summary.findings(RESULTS, "ticket", 0.003) == [
        "The dense network reaches 98.20 % on the test examples.",
        "The smallest ticket within 0.3 points of dense on the validation examples keeps 25.0 % of "
        "the weights, and reaches 97.95 % on the test examples.",
        "random_mask at that size: 95.50 %, 2.45 points less.",
        "Minimum validation loss comes at iteration 6,100 in the dense network; soonest, at 3,000 "
        "(0.49 times), in the ticket with 25.0 % of the weights.",
    ]


def test_nothing_found_is_said():
    assert (
        "No random_mask is within 0.3 points of dense on the validation examples."
        in summary.findings(RESULTS, "random_mask", 0.003)
    )


def test_all_methods_are_compared_in_the_last_round_the_best_first():
    assert summary.comparison([r for r in RESULTS if r.index in (0, 2)]) == [
        "The dense network reaches 98.20 % on the test examples.",
        "ticket keeps 25.0 % of the weights and reaches 97.95 %, 0.25 points less (from 97.90 to "
        "98.00).",
        "random_mask keeps 25.0 % of the weights and reaches 95.50 %, 2.70 points less (from 95.00 "
        "to 96.00).",
    ]


def test_a_network_without_a_measure_is_left_out_of_it():
    older = dataclasses.replace(RESULTS[2], seed=7, measures={"sparsity": 0.5})
    with_older = [*RESULTS, older]
    assert summary.points(with_older, "ticket", "test_accuracy") == summary.points(
        RESULTS, "ticket", "test_accuracy"
    )


def test_a_minimum_at_the_last_evaluation_is_not_yet_reached():
    measures = {"sparsity": 0.5, "test_accuracy": 0.9, "early_stopping_iteration": 300}
    last = Result("ticket", 1, 0, "", measures | {"iterations": 300})
    before = Result("ticket", 1, 0, "", measures | {"iterations": 400})
    for one, reached in ((last, False), (before, True)):
        assert summary.points([one], "ticket", "early_stopping_iteration")[0].reached == reached
        assert summary.points([one], "ticket", "test_accuracy")[0].reached
    dense = Result("dense", 0, 0, "", measures | {"sparsity": 0.0})
    output = io.StringIO()
    table = summary.table([dense, last], ["early_stopping_iteration"])
    Console(file=output, width=80).print(table)
    assert "≥ 300" in output.getvalue()
