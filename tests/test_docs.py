"""What the documentation says of the code."""

import pathlib
import runpy

DOCS = pathlib.Path(__file__).parents[1] / "docs"


def test_the_floors_are_drawn_as_they_stand():
    """If it fails: python docs/draw_floors.py prints the drawing of today."""
    drawing = runpy.run_path(str(DOCS / "draw_floors.py"))["drawing"]()
    text = (DOCS / "architecture.md").read_text()
    assert f"```\n{drawing}\n```" in text
    assert len(text.splitlines()) <= 120
