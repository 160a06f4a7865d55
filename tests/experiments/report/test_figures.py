import pytest

from experiments.report import figures
from experiments.results import Result

ACCURACIES = {"dense": [0.980], "ticket": [0.985, 0.981, 0.970], "reinit": [0.975, 0.960, 0.930]}


def result(variant, index, seed, accuracy):
    return Result(
        variant,
        index,
        seed,
        piece="",
        measures={
            "sparsity": 1 - 0.5**index,
            "validation_accuracy": accuracy,
            "test_accuracy": accuracy + 0.002 * seed,
            "early_stopping_iteration": 1000 * (index + 1),
        },
    )


RESULTS = [
    result(variant, index + (variant != "dense"), seed, accuracy)
    for variant, accuracies in ACCURACIES.items()
    for index, accuracy in enumerate(accuracies)
    for seed in (0, 1)
]


def series(axes):
    """What is drawn: label -> (x, y) of every line."""
    return {
        line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines
    }


@pytest.mark.parametrize("draw", [figures.accuracy, figures.early_stopping])
def test_a_figure_is_a_png(draw, tmp_path):
    draw(RESULTS, "mlp, 2 seeds", tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_a_line_for_every_variant_and_one_for_dense(tmp_path):
    axes = figures.accuracy(RESULTS, "mlp, 2 seeds", tmp_path / "figure.png").axes[0]
    drawn = series(axes)
    assert list(drawn) == ["dense", "ticket", "reinit"]
    assert drawn["ticket"][0] == [0.5, 0.25, 0.125]
    assert drawn["ticket"][1] == pytest.approx([0.986, 0.982, 0.971])
    assert drawn["dense"][1] == pytest.approx([0.981, 0.981])


def test_the_band_goes_from_the_lowest_to_the_highest_seed(tmp_path):
    axes = figures.accuracy(RESULTS, "mlp, 2 seeds", tmp_path / "figure.png").axes[0]
    band = axes.collections[0].get_paths()[0].get_extents()
    assert (band.y0, band.y1) == pytest.approx((0.970, 0.987))


def test_weights_remaining_run_from_all_on_the_left_on_a_logarithmic_axis(tmp_path):
    axes = figures.early_stopping(RESULTS, "mlp, 2 seeds", tmp_path / "figure.png").axes[0]
    left, right = axes.get_xlim()
    assert left > 1 > 0.125 > right
    assert axes.get_xscale() == "log"
    assert [label.get_text() for label in axes.get_xticklabels()] == [
        "100.0%",
        "50.0%",
        "25.0%",
        "12.5%",
    ]
    assert axes.get_ylabel() == "Early-stopping iteration"


def test_early_stopping_is_drawn_in_iterations(tmp_path):
    axes = figures.early_stopping(RESULTS, "mlp, 2 seeds", tmp_path / "figure.png").axes[0]
    assert series(axes)["ticket"][1] == [2000, 3000, 4000]


def test_one_seed_and_one_round_can_be_drawn(tmp_path):
    few = [RESULTS[0], result("ticket", 1, 0, 0.9)]
    figures.accuracy(few, "mlp", tmp_path / "figure.png")


def test_more_variants_than_colours_are_all_drawn_each_with_a_look_of_its_own(tmp_path):
    names = [f"method_{number}" for number in range(14)]
    many = [result(name, index, 0, 0.9) for name in names for index in (1, 2)]
    axes = figures.accuracy([RESULTS[0], *many], "mlp", tmp_path / "figure.png").axes[0]
    lines = [line for line in axes.lines if line.get_label() != "dense"]
    assert [line.get_label() for line in lines] == [name.replace("_", " ") for name in names]
    looks = {(line.get_color(), line.get_linestyle(), line.get_marker()) for line in lines}
    assert len(looks) == len(names)
