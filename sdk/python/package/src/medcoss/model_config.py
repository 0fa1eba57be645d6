"""Sizes and token families of a model, as a run's documents state them.

A part that is not known here is an error and never passed over: the encoder would compute other numbers.
"""

import math
from dataclasses import dataclass
from typing import Any

from medcoss.documents import Document, field
from medcoss.errors import DamagedFileError, RunError, UnsupportedError

_MAX_LAYERS = 1024
_MAX_SIZE = 1 << 26

_MODEL = {"dimensions", "variant", "initial_values", "text_attention", "families"}
_DIMENSIONS = {
    *("width", "layers", "heads", "mlp_width", "decoder_width", "decoder_layers", "decoder_heads"),
    *("drop_path", "layer_scale"),
}
_FAMILY = {"name", "n_positions", "n_decoder_positions", "tokens", "d_target", "layout", "interpolation"}
_VARIANT = {"embedding_norm": True, "final_norm": False, "epsilon": 1e-5, "n_registers": 0, "mlp": "gelu"}


@dataclass(frozen=True)
class Family:
    """A token family: modalities of one family share embedder and positions."""

    name: str
    """Name of the family, such as ``image``."""
    n_positions: int
    """Number of entries of the position table."""
    d_token: int | None
    """Number of values in a continuous token; none for discrete ones."""
    vocabulary: int | None
    """Number of ids of discrete tokens; none for continuous ones."""
    layout: Document | None
    """Grid of the position table: ``grid`` (tokens along each axis), ``patch`` (values of a token along each axis),
    ``axes`` (``name``, and ``step`` or ``places``). None where it is not known."""
    interpolation: str
    """Interpolation of the position table for samples of another grid."""


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of a model's encoder, and its token families in the order in which they joined."""

    width: int
    layers: int
    heads: int
    mlp_width: int
    causal: bool
    """Whether discrete tokens attend to earlier ones only."""
    families: tuple[Family, ...]
    variant: Document
    """What the backbone may do otherwise than MedCoSS's: ``embedding_norm``, ``final_norm``, ``epsilon``,
    ``n_registers``, ``mlp``."""

    @classmethod
    def parse(cls, document: Any, where: str) -> "ModelConfig":
        """The configuration in a document; ``where`` names the document in messages."""
        model = _known(document, _MODEL, f"the model of {where}")
        dimensions = _known(model.get("dimensions"), _DIMENSIONS, f"the model of {where}")
        attention = model.get("text_attention")
        if attention not in ("bidirectional", "causal"):
            raise UnsupportedError(f"{where}: text_attention is {attention!r}, expected bidirectional or causal")
        width, layers, heads, mlp_width = (
            _size(dimensions, name, where) for name in ("width", "layers", "heads", "mlp_width")
        )
        if layers > _MAX_LAYERS or width % heads:
            raise DamagedFileError(
                f"{where} is damaged: {layers} layers of width {width} with {heads} heads,"
                f" expected at most {_MAX_LAYERS} layers and a multiple of the heads"
            )
        families = tuple(_family(family, where) for family in field(model, "families", list, where))
        return cls(width, layers, heads, mlp_width, attention == "causal", families, _variant(model, where))

    def position_of(self, name: str) -> int:
        """Position of a family in the model, from 0."""
        names = [family.name for family in self.families]
        if name not in names:
            raise RunError(f"the model has no token family {name}\nhint: it has {', '.join(names) or 'none'}")
        return names.index(name)

    def encoder(self, at: int) -> Document:
        """Arguments of :class:`medcoss.torch.Encoder` for the family at a position."""
        family = self.families[at]
        layout = family.layout or {}
        return {
            "family": family.name,
            "width": self.width,
            "layers": self.layers,
            "heads": self.heads,
            "mlp_width": self.mlp_width,
            "n_positions": family.n_positions,
            "d_token": family.d_token,
            "vocabulary": family.vocabulary,
            "causal": self.causal and family.vocabulary is not None,
            "grid": layout.get("grid"),
            "patch": layout.get("patch") or _published_patch(family),
            "axes": layout.get("axes") or None,
            "interpolation": family.interpolation,
            **self.variant,
        }


def _published_patch(family: Family) -> list[int] | None:
    """Patch of a family of the published weights, which state none: squares of three channels, cubes of one."""
    channels, n_axes = {"image": (3, 2), "volume": (1, 3)}.get(family.name, (0, 0))
    if not channels or family.d_token is None:
        return None
    side = round((family.d_token / channels) ** (1 / n_axes))
    return [side] * n_axes if channels * side**n_axes == family.d_token else None


def _family(document: Any, where: str) -> Family:
    family = _known(document, _FAMILY, f"a token family of {where}")
    tokens = field(family, "tokens", dict, where)
    sizes: dict[str, int | None] = {"d_token": None, "vocabulary": None}
    name = {"continuous": "d_token", "discrete": "vocabulary"}.get(tokens.get("kind", ""))
    if name is None:
        raise UnsupportedError(f"{where}: tokens are {tokens.get('kind')!r}, expected continuous or discrete")
    sizes[name] = _size(tokens, name, where)
    n_positions, layout = _size(family, "n_positions", where), family.get("layout")
    if layout is not None:
        _check_layout(layout, n_positions, where)
    interpolation = family.get("interpolation", "linear")
    if interpolation not in ("linear", "bicubic", "bicubic-offset", "bicubic-antialiased"):
        raise UnsupportedError(f"{where}: the interpolation of positions is {interpolation!r:.40}")
    d_token, vocabulary = sizes["d_token"], sizes["vocabulary"]
    return Family(field(family, "name", str, where), n_positions, d_token, vocabulary, layout, interpolation)


def _variant(model: Document, where: str) -> Document:
    stated = _known(model.get("variant", {}), {*_VARIANT, "decoder_epsilon"}, f"the variant of {where}")
    variant = {name: stated.get(name, usual) for name, usual in _VARIANT.items()}
    match variant:
        case {"embedding_norm": bool(), "final_norm": bool(), "epsilon": float(epsilon), "n_registers": int(registers)}:
            if 0 < epsilon < 1 and 0 <= registers <= 1024 and variant["mlp"] in ("gelu", "swiglu"):
                return variant
    raise DamagedFileError(f"{where} is damaged: the model has the variant {stated!r:.200}")


def _check_layout(layout: Any, n_positions: int, where: str) -> None:
    layout = _known(layout, {"grid", "patch", "axes"}, f"the grid of {where}")
    grid, patch, axes = (layout.get(name, []) for name in ("grid", "patch", "axes"))
    is_grid = _are_sizes(grid) and _are_sizes(patch) and isinstance(axes, list) and len(axes) in (0, len(grid))
    if not is_grid or not grid or len(patch) not in (0, len(grid)) or math.prod(grid) > n_positions:
        raise DamagedFileError(f"{where} is damaged: a family of {n_positions} positions has the grid {layout!r:.200}")
    for axis, side in zip(axes, grid):
        _known(axis, {"name", "step", "places"}, f"an axis of {where}")
        match axis.get("step"), axis.get("places", []):
            case [int() | float() as length, str()], [] if 0 < length < math.inf:
                continue
            case None, list(places) if len(places) in (0, side) and all(isinstance(place, str) for place in places):
                continue
        raise DamagedFileError(f"{where} is damaged: an axis of {side} places is {axis!r:.200}")


def _are_sizes(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 < value <= _MAX_SIZE for value in values)


def _known(document: Any, names: set[str], what: str) -> Document:
    if not isinstance(document, dict):
        raise DamagedFileError(f"{what} is {document!r:.80}, expected a JSON object")
    unknown = sorted(set(document) - names)
    if unknown:
        raise UnsupportedError(
            f"{what} has {', '.join(unknown)}, which this version does not know\nhint: update medcoss"
        )
    return document


def _size(document: Document, name: str, where: str) -> int:
    size: int = field(document, name, int, where)
    if not 0 < size <= _MAX_SIZE:
        raise DamagedFileError(f"{where} is damaged: {name} is {size}, expected 1 to {_MAX_SIZE}")
    return size
