"""The encoder of a run, or of an exported file, as a PyTorch module.

>>> encoder = medcoss.torch.Encoder.from_run("runs/first", "xray").eval()
>>> outputs = encoder(images)              # float32 [B, 3, H, W] in [0, 1] -> [B, 1 + N, D]
>>> features = encoder.pooled(outputs)     # [B, D], what `medcoss embed` writes
"""

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from medcoss.errors import DamagedFileError, RunError, UnsupportedError
from medcoss.huggingface.encoder_medcoss import Encoder as EncoderModule
from medcoss.model_config import ModelConfig
from medcoss.run import Run

__all__ = ["Encoder"]


class Encoder(EncoderModule):
    __doc__ = EncoderModule.__doc__

    @classmethod
    def from_run(cls, path: str | os.PathLike[str], name: str, stage: int | None = None) -> Self:
        """The encoder of a modality or a token family of a run, in evaluation mode: after a stage by its number from 1,
        with 0 for the initial model and none for the latest."""
        with Run(path) as run:
            stored = run.model(stage)
            at = stored.model.position_of(run.family_of(name))
            arrays = stored.weights(parameters(stored.model, at))
        values = {path: torch.from_numpy(array.copy()) for path, array in arrays.items()}
        return cls._of(stored.model, at, lambda path: values[path], f"{path}")

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], family: str) -> Self:
        """The encoder of a token family in a file of ``medcoss export --layout medcoss-rs``, in evaluation mode."""
        try:
            with safe_open(path, "pt") as file:
                model = ModelConfig.parse(_model_in(file.metadata(), path), str(path))
                known = set(file.keys())

                def value(name: str) -> Tensor:
                    if name not in known:
                        raise DamagedFileError(f"{path} is damaged: it has no tensor {name}")
                    return file.get_tensor(name)

                return cls._of(model, model.position_of(family), value, str(path))
        except (SafetensorError, OSError) as error:
            raise RunError(f"{path} is no safetensors file that can be read: {error}") from error

    @classmethod
    def _of(cls, model: ModelConfig, at: int, value: Callable[[str], Tensor], where: str) -> Self:
        # Without values no memory is claimed, whatever sizes the configuration states.
        with torch.device("meta"):
            encoder = cls(**model.encoder(at))
        load_parameters(encoder, {own_name(name, at): value(name) for name in parameters(model, at)}, where)
        return encoder.eval()


def load_parameters(module: torch.nn.Module, values: dict[str, Tensor], where: str) -> None:
    """Gives a module its parameters by their names in PyTorch; linear layers are transposed, since medcoss has them as
    ``[input, output]``."""
    linear = {f"{name}.weight" for name, part in module.named_modules() if isinstance(part, torch.nn.Linear)}
    values = {name: value.t().contiguous() if name in linear else value for name, value in values.items()}
    for name, value in values.items():
        if value.dtype != torch.float32 or not torch.isfinite(value).all():
            raise DamagedFileError(f"{where} is damaged: parameter {name} has {value.dtype} values or is not finite")
    try:
        module.load_state_dict(values, assign=True)
    except RuntimeError as error:
        raise DamagedFileError(f"{where} does not have the parameters of its model: {error}") from error


def parameters(model: ModelConfig, at: int) -> Iterable[str]:
    """Paths of the parameters in medcoss that the encoder of a family reads."""
    norm = ("gamma", "beta")
    linear = ("weight", "bias")
    if model.families[at].d_token is not None:
        yield from (
            f"embedders.{at}.{name}" for name in ("projection.weight", "projection.bias", "spatial", "temporal")
        )
        yield "class_token"
        if model.variant["n_registers"]:
            yield "registers"
        if model.variant["embedding_norm"]:
            yield from (f"patch_norm.{name}" for name in norm)
    else:
        yield from (f"embedders.{at}.{name}" for name in ("tokens", "positions", "types", "norm.gamma", "norm.beta"))
    for block in (f"encoder.blocks.{layer}" for layer in range(model.layers)):
        for part in ("attention.qkv", "attention.projection", "mlp_in", "mlp_out"):
            yield from (f"{block}.{part}.{name}" for name in linear)
        for part in ("attention_norm", "mlp_norm"):
            yield from (f"{block}.{part}.{name}" for name in norm)
        yield from (f"{block}.{name}" for name in ("attention_scale", "mlp_scale"))
    if model.variant["final_norm"]:
        yield from (f"encoder.norm.{name}" for name in norm)


def own_name(path: str, at: int) -> str:
    """Name in the PyTorch module of a parameter's path in medcoss: ``encoder.blocks.0.mlp_norm.gamma`` is
    ``blocks.0.mlp_norm.weight``."""
    path = path.removeprefix("encoder.")
    embedder = f"embedders.{at}."
    if path.startswith(embedder):
        path = f"embedder.{path.removeprefix(embedder)}"
    for before, now in ((".gamma", ".weight"), (".beta", ".bias")):
        if path.endswith(before):
            path = path.removesuffix(before) + now
    return path


def _model_in(metadata: dict[str, str] | None, path: str | os.PathLike[str]) -> object:
    """The model's configuration in the metadata of an exported file."""
    try:
        note = json.loads((metadata or {})["medcoss"])
        layout, model = note["layout"], note["model"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise RunError(f"{Path(path)} is no file of medcoss export: its metadata have no model") from error
    if layout != "medcoss-rs":
        raise UnsupportedError(f"{path} has the layout {layout}, expected medcoss-rs\nhint: export --layout medcoss-rs")
    return model
