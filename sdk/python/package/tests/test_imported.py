"""Encoders of weights that other libraries wrote, against the numbers of these libraries."""

from pathlib import Path

import pytest
import timm
import torch
from conftest import GOLDEN, Medcoss
from safetensors.torch import load_file
from torch.testing import assert_close
from transformers import AutoModel

from medcoss.torch import Encoder

IMPORT = GOLDEN / "import"
TOLERANCE = {"rtol": 0.0, "atol": 1e-5}

# Weights, heads, expected file, prefixes of expected arrays, number of registers, and whether timm computes the same.
CASES = {
    "timm_vit.safetensors": (4, "timm", ["timm_vit", "timm_vit_smaller", "timm_vit_larger"], 0, True),
    "timm_vit_layerscale.safetensors": (2, "timm", ["timm_vit_layerscale"], 0, True),
    "timm_vit_registers.safetensors": (2, "timm", ["timm_vit_registers"], 4, True),
    "dinov2.pth": (4, "dinov2", ["dinov2_native", "dinov2_smaller", "dinov2_larger"], 0, True),
    "dinov2_registers.pth": (2, "dinov2", ["dinov2_registers_native", "dinov2_registers_larger"], 4, True),
    "dinov2_swiglu.safetensors": (2, "dinov2", ["dinov2_swiglu"], 0, False),
    "hf_vit": (None, "hf", ["hf_vit", "hf_vit_larger"], 0, False),
}


@pytest.fixture(params=CASES, scope="module")
def case(
    request: pytest.FixtureRequest, medcoss: Medcoss, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str]:
    """A run of imported weights, and the name of the weights."""
    weights, folder = request.param, tmp_path_factory.mktemp("imported") / "run"
    heads = CASES[weights][0]
    medcoss("import", IMPORT / weights, *([] if heads is None else ["--heads", heads]), "--out", folder)
    return folder, weights


def expected(weights: str) -> list[tuple[str, torch.Tensor, torch.Tensor]]:
    """Prefix, image, and outputs after the final norm without registers."""
    _, file, prefixes, n_registers, _ = CASES[weights]
    golden = load_file(IMPORT / f"{file}_expected.safetensors")
    outputs = [golden[f"{prefix}.normed"] for prefix in prefixes]
    without = [torch.cat([x[:, :1], x[:, 1 + n_registers :]], 1) for x in outputs]
    return [(prefix, golden[f"{prefix}.image"], x) for prefix, x in zip(prefixes, without)]


@torch.no_grad()
def test_outputs_are_those_of_the_library_at_every_size(case: tuple[Path, str]) -> None:
    encoder = Encoder.from_run(case[0], "image")
    for _, image, outputs in expected(case[1]):
        assert_close(encoder(image), outputs, **TOLERANCE)


@torch.no_grad()
def test_transformers_loads_the_encoder(case: tuple[Path, str], medcoss: Medcoss, tmp_path: Path) -> None:
    medcoss("export", case[0], "--layout", "huggingface", "--family", "image", "--out", tmp_path / "encoder")
    model = AutoModel.from_pretrained(tmp_path / "encoder", trust_remote_code=True).eval()
    for _, image, outputs in expected(case[1]):
        assert_close(model(image).last_hidden_state, outputs, **TOLERANCE)


@torch.no_grad()
def test_timm_loads_what_it_computes_alike(case: tuple[Path, str], medcoss: Medcoss, tmp_path: Path) -> None:
    _, _, _, n_registers, is_exact = CASES[case[1]]
    arguments = ["export", case[0], "--layout", "timm", "--family", "image", "--out", tmp_path / "encoder"]
    if not is_exact:
        with pytest.raises(AssertionError, match="timm's VisionTransformer lacks"):
            medcoss(*arguments)
        return
    medcoss(*arguments)
    model = timm.create_model(f"local-dir:{tmp_path / 'encoder'}", pretrained=True).eval()
    _, image, outputs = expected(case[1])[0]
    found = model.forward_features(image)
    assert_close(torch.cat([found[:, :1], found[:, 1 + n_registers :]], 1), outputs, **TOLERANCE)
    assert_close(model(image), outputs[:, 0], **TOLERANCE)
