"""The module is the registry."""

import functools

import numpy as np
import pytest

from keras_lottery.core import criteria, lookup
from keras_lottery.core.event import prune
from keras_lottery.core.kernel import Kernel


def test_names_are_the_functions_that_a_module_defines():
    """Not what it imports, and nothing private."""
    found = lookup.names(criteria)
    assert found == sorted(found) and {"large_final", "movement", "random"} <= set(found)
    assert not {"np", "Kernel", "_rank_percentile"} & set(found)


def test_a_new_criterion_is_found_by_itself(monkeypatch):
    source = "def largest_number(kernel):\n    return kernel.current"
    monkeypatch.setitem(vars(criteria), "largest_number", None)  # taken out again at the end
    exec(source, vars(criteria))
    assert "largest_number" in lookup.names(criteria)
    masks = prune(
        [Kernel.of([0.5, -2.0])],
        sparsity=0.5,
        criterion=lookup.get(criteria, "largest_number"),
    )
    np.testing.assert_array_equal(masks["kernel"], [True, False])


def test_a_function_is_taken_as_it_is():
    assert lookup.get(criteria, abs) is abs


@pytest.mark.parametrize("wrong", ["large_finl", "_rank_percentile", "np", "Kernel", ""])
def test_an_unknown_name_lists_those_there_are(wrong):
    with pytest.raises(
        ValueError,
        match=f"No '{wrong}' in criteria; pass a function or one of large_final, .*movement",
    ):
        lookup.get(criteria, wrong)


def test_every_callable_has_something_to_be_called():
    assert lookup.name_of(criteria.movement) == "movement"
    assert lookup.name_of(functools.partial(pow, 2)).startswith("functools.partial(")
