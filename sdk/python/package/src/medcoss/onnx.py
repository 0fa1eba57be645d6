"""Writes the encoder of a token family as an ONNX file: ``python -m medcoss.onnx RUN --family F --out encoder.onnx``.

The number of samples is free; the size of a sample is that of the position table, or of ``--size``. Outputs are
``tokens`` ``[batch, T, D]`` and ``features`` ``[batch, D]``, the mean that ``medcoss embed`` writes.
"""

import argparse
import os
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from medcoss.errors import MedcossError
from medcoss.huggingface.encoder_medcoss import Encoder as EncoderModule
from medcoss.torch import Encoder

__all__ = ["export"]

# Of the attention of the encoder's kind, with the layouts that onnxruntime has kernels for.
OPSET = 18


class _WithFeatures(nn.Module):
    """The encoder with its pooled outputs."""

    def __init__(self, encoder: EncoderModule) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, inputs: Tensor, attention_mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        tokens = self.encoder(inputs, attention_mask)
        return tokens, self.encoder.pooled(tokens, attention_mask)


def export(encoder: EncoderModule, out: str | os.PathLike[str], size: list[int] | None = None) -> None:
    """Writes an encoder as an ONNX file. ``size`` is the size of a sample along its axes, ``[height, width]`` for
    images, or ``[length]`` for ids; by default the grid of the position table, or all positions."""
    inputs = _inputs(encoder, size)
    names = ["inputs", "attention_mask"][: len(inputs)]
    program = torch.onnx.export(
        _WithFeatures(encoder).eval(),
        inputs,
        input_names=names,
        output_names=["tokens", "features"],
        dynamic_shapes={name: {0: torch.export.Dim("batch")} for name in names},
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    shape = None if program is None else program.model.graph.inputs[0].shape
    if program is None or shape is None or isinstance(shape[0], int):
        raise RuntimeError("PyTorch exported an encoder for one number of samples only, expected any number")
    program.save(out, external_data=False)


def _inputs(encoder: EncoderModule, size: list[int] | None) -> tuple[Tensor, ...]:
    """Inputs of the size that the file takes. A batch of one would be taken as fixed."""
    if encoder.d_token is None:
        length = (size or [encoder.n_positions])[0]
        return torch.zeros(2, length, dtype=torch.int64), torch.ones(2, length, dtype=torch.int64)
    if encoder.patch is None:
        return (torch.zeros(2, (size or [encoder.n_positions])[0], encoder.d_token),)
    if size is None and encoder.grid is None:
        raise ValueError("the model states no grid of its positions\nhint: state the size of a sample by --size")
    sides = size or [side * length for side, length in zip(encoder.grid or [], encoder.patch)]
    channels = encoder.d_token
    for length in encoder.patch:
        channels //= length
    return (torch.zeros(2, channels, *sides),)


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m medcoss.onnx", description=__doc__)
    parser.add_argument("run", help="run folder")
    parser.add_argument("--family", required=True, help="token family, or modality of the run")
    parser.add_argument("--out", required=True, type=Path, help="file to write")
    parser.add_argument("--stage", type=int, help="model after this stage, from 1; 0 for the initial model")
    parser.add_argument("--size", type=int, nargs="+", help="size of a sample along its axes, such as 224 224")
    parser.add_argument("--force", action="store_true", help="overwrite the file")
    options = parser.parse_args(arguments)
    if options.out.exists() and not options.force:
        print(
            f"error: --out {options.out} exists\nhint: choose another file, or overwrite it with --force",
            file=sys.stderr,
        )
        return 1
    try:
        export(Encoder.from_run(options.run, options.family, options.stage), options.out, options.size)
    except (MedcossError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"Wrote {options.out}: {options.out.stat().st_size} bytes, opset {OPSET}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
