"""What PyPI and its users see: a README that renders outside its repository, one version."""

import configparser
import pathlib
import re

import keras_lottery

ROOT = pathlib.Path(__file__).parents[1]
HOME = "https://github.com/keras-lottery/keras_lottery"
PLACES = (
    f"{HOME}/blob/main/",
    "https://raw.githubusercontent.com/keras-lottery/keras_lottery/main/",
)


def settings():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def test_every_link_of_the_readme_is_absolute_and_leads_somewhere():
    links = re.findall(r"\]\(([^)\s]+)\)", (ROOT / "README.md").read_text())
    assert [link for link in links if not link.startswith("https://")] == []
    ours = [link for link in links if link.startswith((HOME, PLACES[1]))]
    assert ours
    for link in ours:
        path = link.removeprefix(PLACES[0]).removeprefix(PLACES[1])
        assert (ROOT / path).is_file(), link


def test_the_version_stands_in_one_place():
    assert settings()["metadata"]["version"] == "attr: keras_lottery.__version__"
    version = keras_lottery.__version__
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()


def test_every_extra_that_a_message_names_exists():
    extras = set(settings()["options.extras_require"])
    named = {
        name.strip()
        for folder in ("keras_lottery", "experiments", "export", "tests")
        for path in (ROOT / folder).rglob("*.py")
        for found in re.findall(r"keras_lottery\[([\w, ]+)\]", path.read_text())
        for name in found.split(",")
    }
    assert named
    assert named <= extras
