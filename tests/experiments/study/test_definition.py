import pytest

from experiments.study import definition
from experiments.study.definition import Range, StudyError

GRID = """
name = "rates"
remaining = [0.8, 0.5]
[settings]
rounds = 4
[grid]
criterion = ["large_final", "random"]
rate = [0.2, 0.4]
"""


def read(tmp_path, text):
    path = tmp_path / "study.toml"
    path.write_text(text)
    return definition.read(path)


def test_a_grid_has_all_combinations(tmp_path):
    study = read(tmp_path, GRID)
    assert study.name == "rates"
    assert list(study.points()) == [
        {"criterion": "large_final", "rate": 0.2},
        {"criterion": "large_final", "rate": 0.4},
        {"criterion": "random", "rate": 0.2},
        {"criterion": "random", "rate": 0.4},
    ]
    chosen = study.settings({"criterion": "random", "rate": 0.4})
    assert (chosen.recipe.criterion, chosen.rate, chosen.rounds) == ("random", 0.4, 4)


def test_ranges_have_a_number_of_trials(tmp_path):
    text = "trials = 3\n[ranges]\nlearning_rate = {low = 1e-4, high = 1e-2, log = true}\n"
    study = read(tmp_path, text + "batch_size = {low = 16, high = 64}\n")
    assert study.name == "study"
    assert study.trials == 3
    assert study.ranges == {
        "learning_rate": Range(1e-4, 1e-2, log=True),
        "batch_size": Range(16, 64, integer=True),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = ", "study.toml is not TOML: Invalid value"),
        ("", r"must have either \[grid\].* or \[ranges\].*; it has neither"),
        ("colour = 1", "has the key 'colour'; there are name, settings, grid"),
        ("[grid]\ncolour = [1]", r"\[grid\] has the key 'colour'; there are dataset"),
        ("[settings]\ncolour = 1", r"\[settings\] has the key 'colour'"),
        ("[grid]\nrate = []", r"\[grid\] rate must be a list of values, received \[\]"),
        ("[grid]\nrate = 0.2", r"\[grid\] rate must be a list of values, received 0.2"),
        ("[grid]\nrate = [0.2, 0.2]", r"\[grid\] rate has a value twice"),
        ("[grid]\ncontrols = [['reinit']]", r"\[grid\] controls must have numbers and texts"),
        ("[grid]\ncriterion = ['largest']", "'criterion': 'largest'.*No 'largest' in criteria"),
        ("[grid]\nrate = ['much']", "'rate': 'much'"),
        ("[grid]\nrate = [0.2]\n[ranges]\nrate = {low=0.1, high=0.2}", "it has both"),
        ("trials = 3\n[grid]\nrate = [0.2]", r"`trials` is for \[ranges\]"),
        ("[ranges]\nrate = {low=0.1, high=0.2}", r"\[ranges\] needs `trials`.*received None"),
        ("trials = 1\n[ranges]\nrate = {low=0.3, high=0.2}", r"\[ranges\] rate must be such as"),
        ("objective = 'speed'\n[grid]\nrate = [0.2]", "must be one of accuracy, phone: 'speed'"),
        ("remaining = [0.1, 0.5]\n[grid]\nrate = [0.2]", "`remaining` must be falling fractions"),
        (
            "objective = 'phone'\nhalving = true\n[grid]\nrate = [0.2]",
            "`halving` compares one number",
        ),
    ],
)
def test_what_is_wrong_is_one_error(tmp_path, text, message):
    with pytest.raises(StudyError, match=message):
        read(tmp_path, text)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(StudyError, match=r"none.toml: No such file"):
        definition.read(tmp_path / "none.toml")
