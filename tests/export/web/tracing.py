"""From an image of a digit to the pen strokes that could have drawn it."""

import numpy as np

# The eight neighbours of a pixel, clockwise from the top.
AROUND = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))


def trace(image):
    """Strokes along the middle of the digit's lines.

    Args:
        image: Values in [0, 1], [28, 28].

    Returns:
        A list of strokes, each a list of points `(x, y)` in [0, 1].
    """
    todo = {tuple(point) for point in np.argwhere(thin(np.pad(image > 0.5, 1)))}
    strokes = []
    while todo:
        ends = [point for point in todo if len(neighbours(point, todo)) == 1]
        strokes.append(walk(min(ends or todo), todo))
    height, width = image.shape
    return [[((c - 0.5) / width, (r - 0.5) / height) for r, c in stroke] for stroke in strokes]


def walk(start, todo):
    """Visits all that is connected to `start`, going back over its own line at a dead end."""
    path, back = [start], []
    todo.remove(start)
    here = start
    while True:
        ahead = neighbours(here, todo)
        if ahead:
            back.append(here)
            here = ahead[0]
            todo.remove(here)
        elif back and any(neighbours(point, todo) for point in back):
            here = back.pop()
        else:
            return path
        path.append(here)


def neighbours(point, points):
    """Those of `points` that touch `point`, straight ones first."""
    near = [(point[0] + r, point[1] + c) for r, c in AROUND[::2] + AROUND[1::2]]
    return [other for other in near if other in points]


def thin(ink):
    """The skeleton of a shape, one pixel wide (Zhang & Suen 1984); its border must be empty."""
    ink = ink.copy()
    while True:
        before = ink.sum()
        for first, second in (((0, 2, 4), (2, 4, 6)), ((0, 2, 6), (0, 4, 6))):
            ring = np.stack([np.roll(ink, (-r, -c), (0, 1)) for r, c in AROUND])
            count = ring.sum(0)
            rises = (~ring & np.roll(ring, -1, 0)).sum(0)
            edge = (count >= 2) & (count <= 6) & (rises == 1)
            ink &= ~(edge & ~ring[list(first)].all(0) & ~ring[list(second)].all(0))
        if ink.sum() == before:
            return ink
