import html.parser

import pytest
import sample_plans
from absl import flags
from absl.testing import flagsaver

from experiments.report import __main__ as script
from experiments.results import Run


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs in one store, whose folders have names that are no HTML."""
    folder = tmp_path_factory.mktemp("runs")
    for name, method in (("a<b", "iterative"), ("one", "one_shot")):
        plan = sample_plans.small(method=method, rounds=2, control_rounds=[1, 2])
        plan.run(folder / "pieces")
        Run(folder / name).describe({"settings": plan.settings.to_json()}, plan.networks)
    return folder


@pytest.fixture
def report(runs, tmp_path, capsys):
    def report(*names):
        with flagsaver.flagsaver():
            folders = [str(runs / name) for name in names]
            options = [f"--pieces={runs / 'pieces'}", f"--output={tmp_path / 'page'}"]
            script.main(flags.FLAGS(["report", *options, *folders]))
        path = tmp_path / "page" / "report.html"
        assert capsys.readouterr().out.strip() == str(path)
        return path.read_text()

    return report


class Reader(html.parser.HTMLParser):
    """Notes identifiers, references and texts."""

    def __init__(self, page):
        super().__init__()
        self.identifiers, self.links, self.texts = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        self.identifiers += [named["id"]] if "id" in named else []
        self.links += [named[key] for key in ("src", "href", "xlink:href") if key in named]

    def handle_data(self, data):
        self.texts.append(data)


def test_a_page_of_one_run_needs_nothing_else(report, tmp_path):
    read = Reader(report("a<b"))
    assert all(link.startswith(("#", "data:")) for link in read.links)
    # Each drawing's names are its own.
    assert all(one.startswith("a_b_") for one in read.identifiers)
    assert {link[1:] for link in read.links if link[0] == "#"} <= set(read.identifiers)
    text = " ".join(read.texts)
    assert "a<b" in text
    assert "digits_mlp on digits, iterative, large_final layerwise, rewind start" in text
    assert "5 networks, 15 training steps" in text
    kinds = ("accuracy", "stopping", "curves", "layers", "first_layer")
    for kind in kinds:
        assert (tmp_path / "page" / f"a_b_{kind}.png").stat().st_size > 1000
        assert (tmp_path / "page" / f"a_b_{kind}.pdf").stat().st_size > 1000
    table = (tmp_path / "page" / "a_b_table.csv").read_text().splitlines()
    assert table[0].startswith("variant,round,")
    assert [line.split(",")[0] for line in table[1:]] == ["dense", *["ticket"] * 2, *["reinit"] * 2]
    # Every network's lowest loss is at its only evaluation.
    assert all(line.endswith("≥ 3") for line in table[1:])


@pytest.mark.long
def test_runs_stand_side_by_side(report, tmp_path):
    text = " ".join(Reader(report("a<b", "one")).texts)
    assert "Side by side" in text
    assert (tmp_path / "page" / "together.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "^report: Name the folders"),
        (["none"], "^report: none/run.json: No such file"),
    ],
)
def test_a_wrong_line_is_answered(arguments, message):
    with flagsaver.flagsaver(), pytest.raises(SystemExit, match=message):
        script.main(flags.FLAGS(["report", *arguments]))


def test_a_run_without_its_pieces_is_answered(runs, tmp_path):
    with (
        flagsaver.flagsaver(),
        pytest.raises(SystemExit, match=r"has none of the networks of .*one: pass --pieces"),
    ):
        script.main(flags.FLAGS(["report", f"--pieces={tmp_path}", str(runs / "one")]))
