"""Entries of a position table for samples of another grid, axis by axis. The file stands alone, as the encoder's."""

import math
from typing import Any


def place_weights(
    reference: dict[str, Any], own: dict[str, Any], n_reference: int, n_own: int, interpolation: str = "linear"
) -> list[list[float]]:
    """Weights ``[n_own, n_reference]`` of the table's entries at each place along an axis.

    Places with names are the table's of the same name. Places with steps in one unit lie at their distance from the
    beginning. Otherwise the sample covers what the table covers, by the interpolation of the table.
    """
    name, places, known = own.get("name", "?"), own.get("places") or [], reference.get("places") or []
    step, known_step = own.get("step"), reference.get("step")
    if places and known and len(places) == n_own:
        missing = [place for place in places if place not in known]
        if missing:
            raise ValueError(f"axis {name} has the place {missing[0]}, and the positions are those of {known}")
        return [[float(place == entry) for entry in known] for place in places]
    if places or known or (step is None) != (known_step is None) or (step and known_step and step[1] != known_step[1]):
        raise ValueError(f"axis {name} of {n_own} places is {own}, and the positions are {reference}: state its axes")
    if step and known_step:
        if (n_own - 0.5) * step[0] / known_step[0] > n_reference + 1e-6:
            length, known_length = n_own * step[0], n_reference * known_step[0]
            raise ValueError(
                f"axis {name} is {length} {step[1]} long, and the positions reach {known_length} {step[1]}"
            )
        return _linear(n_reference, n_own, step[0] / known_step[0])
    if interpolation == "linear":
        return _linear(n_reference, n_own, n_reference / n_own)
    if interpolation == "bicubic-antialiased":
        return _antialiased(n_reference, n_own)
    # DINOv2 without registers adds 0.1 to the size of the output, where the scale is computed.
    offset = {"bicubic": 0.0, "bicubic-offset": 0.1}[interpolation]
    return _cubic(n_reference, n_own, n_reference / (n_own + offset))


def _linear(n: int, m: int, scale: float) -> list[list[float]]:
    """Linear between the two nearest entries, with half-pixel centres; ends are cut."""
    centres = [min(max((place + 0.5) * scale - 0.5, 0.0), n - 1.0) for place in range(m)]
    return [[max(0.0, 1.0 - abs(centre - entry)) for entry in range(n)] for centre in centres]


def _cubic(n: int, m: int, scale: float) -> list[list[float]]:
    """PyTorch's bicubic interpolation: entries beyond the edge are as at the edge."""
    weights = [[0.0] * n for _ in range(m)]
    for place, row in enumerate(weights):
        centre = (place + 0.5) * scale - 0.5
        for entry in range(math.floor(centre) - 1, math.floor(centre) + 3):
            row[min(max(entry, 0), n - 1)] += _kernel(centre - entry, -0.75)
    return weights


def _antialiased(n: int, m: int) -> list[list[float]]:
    """PyTorch's antialiased bicubic interpolation: the kernel widens where the grid shrinks."""
    scale = n / m
    widened = max(scale, 1.0)
    weights = []
    for place in range(m):
        centre = (place + 0.5) * scale
        first, end = max(int(centre - 2 * widened + 0.5), 0), min(int(centre + 2 * widened + 0.5), n)
        taps = [_kernel((entry - centre + 0.5) / widened, -0.5) for entry in range(first, end)]
        weights.append([0.0] * first + [tap / sum(taps) for tap in taps] + [0.0] * (n - end))
    return weights


def _kernel(x: float, a: float) -> float:
    """Kernel of cubic convolution (Keys, 1981)."""
    x = abs(x)
    if x < 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a if x < 2 else 0.0
