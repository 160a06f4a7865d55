"""Recipes: values that print, compare, pickle and become JSON; and which kernel goes by which."""

import dataclasses
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_lottery.core import criteria, granularity, hold_at, lookup, restart_from, scopes
from keras_lottery.core.recipe import Recipe, as_recipe

NAMES = ["fc1/kernel", "fc2/kernel", "output/kernel"]
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "criterion": st.sampled_from([*lookup.names(criteria), "snip"]),
        "scope": st.sampled_from(lookup.names(scopes)),
        "granularity": st.sampled_from([None, granularity.blocks(4), granularity.n_of_m(2, 4)]),
        "restart_from": st.sampled_from(lookup.names(restart_from)),
        "hold_at": st.sampled_from(lookup.names(hold_at)),
    },
)
CHOICES = st.fixed_dictionaries(
    {},
    optional={
        "include": st.sampled_from([None, "fc"]),
        "exclude": st.sampled_from([None, "output$"]),
        "otherwise": st.dictionaries(
            st.sampled_from(["fc", "output"]), SETTINGS.map(lambda settings: Recipe(**settings))
        ),
    },
)


@given(SETTINGS, CHOICES)
def test_a_recipe_is_a_value(settings, choices):
    recipe = Recipe(**settings, **choices)
    assert recipe == Recipe(**settings, **choices)
    assert hash(recipe) == hash(Recipe(**settings, **choices))
    assert pickle.loads(pickle.dumps(recipe)) == recipe
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe
    assert eval(repr(recipe), {"Recipe": Recipe, **vars(granularity)}) == recipe


def test_a_function_of_this_package_is_its_name():
    recipe = Recipe(criteria.movement, scope=scopes.globally, hold_at=hold_at.freeze)
    assert recipe == Recipe("movement", scope="globally", hold_at="freeze")


def test_a_function_of_ones_own_is_kept_but_not_written():
    def own(kernel):
        return kernel.current

    recipe = Recipe(own, exclude=lambda name, shape: False)
    assert recipe.criterion is own
    written = recipe.to_json()
    assert written["criterion"] == {"function": "own"}
    with pytest.raises(ValueError, match="`criterion` was the user's own function own"):
        Recipe.from_json(written)


def test_a_criterion_alone_is_a_recipe():
    given = Recipe(scope="globally", exclude="head")
    assert as_recipe("movement") == Recipe("movement")
    assert as_recipe("movement", given) == dataclasses.replace(given, criterion="movement")
    assert as_recipe(given) is given
    with pytest.raises(ValueError, match=r"`recipe` is 0\.5; pass a "):
        as_recipe(0.5)


def test_the_last_pattern_that_is_found_holds():
    recipe = Recipe(
        "movement",
        exclude="head",
        otherwise={"fc": "random", "fc2": Recipe("large_init", hold_at="freeze")},
    )
    assert recipe.of_kernels(NAMES) == {
        "fc1/kernel": Recipe("random"),
        "fc2/kernel": Recipe("large_init", hold_at="freeze"),
        "output/kernel": Recipe("movement"),
    }


def test_kernels_that_are_ranked_alike_are_pruned_together():
    """Another action does not take a kernel out of a global scope; another criterion does."""
    recipe = Recipe(
        scope="globally",
        otherwise={
            "fc1": Recipe(scope="globally", restart_from="reinit"),
            "fc2": Recipe("random", scope="globally"),
        },
    )
    groups = recipe.ranked_alike(NAMES)
    assert [names for _, names in groups] == [["fc1/kernel", "output/kernel"], ["fc2/kernel"]]
    assert [one.criterion for one, _ in groups] == ["large_final", "random"]


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"criterion": 3}, "`criterion` is 3; pass a name"),
        ({"scope": "local"}, "No 'local' in scopes; .*layerwise"),
        ({"scope": 3}, "`scope` is 3; pass a function or one of .*layerwise"),
        ({"granularity": "blocks"}, "`granularity` is 'blocks'; pass what a function of"),
        ({"granularity": granularity.units}, "`granularity` is <function"),
        ({"restart_from": "x"}, "No 'x' in restart_from; .*rewind"),
        ({"hold_at": "one"}, "No 'one' in hold_at; .*zero"),
        ({"include": 1}, "`include` must be a regular expression or a function"),
        ({"otherwise": "output"}, "`otherwise` is 'output'; pass a dict from a pattern"),
        ({"otherwise": {"(": "random"}}, r"`otherwise` has '\(', which is no regular expression"),
        ({"otherwise": {"fc": 0.5}}, "`recipe` is 0.5"),
        ({"otherwise": {"fc": Recipe(exclude="a")}}, "for 'fc' that chooses kernels itself"),
        ({"otherwise": {"fc": Recipe(otherwise={"a": "random"})}}, "chooses kernels itself"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**settings)


def test_a_pattern_that_is_in_no_name():
    with pytest.raises(
        ValueError, match=r"`otherwise` has the pattern 'fc9'; the kernels are: fc1"
    ):
        Recipe(otherwise={"fc9": "random"}).of_kernels(NAMES)


@pytest.mark.parametrize("record", [{"criterium": "random"}, [], "random"])
def test_what_no_recipe_is(record):
    with pytest.raises(ValueError, match="is no recipe: it must be a dict of criterion"):
        Recipe.from_json(record)
