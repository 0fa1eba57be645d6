"""A fine-tuned UNETR in PyTorch, against the reference's numbers and the masks that the program predicts."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import GOLDEN, Medcoss
from monai.inferers import sliding_window_inference
from png_image import pixels_of, png
from safetensors.torch import load_file
from torch.testing import assert_close

from medcoss import DamagedFileError, RunError, UnsupportedError
from medcoss.monai import UnetrDecoder, unetr

NAMES = {
    r"encoder1\.layer\.(conv\d)": r"image.\1",
    r"encoder(\d)\.transp_conv_init": lambda found: f"skips.{int(found[1]) - 2}.first",
    r"encoder(\d)\.blocks\.(\d)\.0": lambda found: f"skips.{int(found[1]) - 2}.blocks.{found[2]}.up",
    r"encoder(\d)\.blocks\.(\d)\.1\.(conv\d)": lambda found: (
        f"skips.{int(found[1]) - 2}.blocks.{found[2]}.residual.{found[3]}"
    ),
    r"decoder(\d)\.transp_conv": lambda found: f"ups.{5 - int(found[1])}.up",
    r"decoder(\d)\.conv_block\.(conv\d)": lambda found: f"ups.{5 - int(found[1])}.residual.{found[2]}",
    r"out\.conv": "out",
}


def own_name(reference: str) -> str:
    """Name of the reference's parameter in the module."""
    for pattern, name in NAMES.items():
        renamed, n = re.subn(f"^{pattern}(?=\\.conv\\.)", name, reference)
        if n:
            return renamed
    raise KeyError(reference)


@pytest.mark.parametrize("name", ["unetr2d", "unetr3d"])
@torch.no_grad()
def test_the_decoder_computes_the_references_logits(name: str) -> None:
    golden = load_file(GOLDEN / f"downstream/{name}.safetensors")
    weights = {own_name(key[8:]): value for key, value in golden.items() if key.startswith("weights.")}
    image, patch = golden["image"], [16, 16, 16]
    if name == "unetr2d":
        image, patch = image[:, :, None], [1, 16, 16]
        weights = {key: value[:, :, None] if value.dim() == 4 else value for key, value in weights.items()}
    grid = [side // length for side, length in zip(image.shape[2:], patch)]
    decoder = UnetrDecoder(
        grid=grid, patch=patch, channels=image.shape[1], width=48, feature_size=4, n_classes=golden["logits"].shape[1]
    )
    decoder.load_state_dict(weights)
    assert decoder.blocks(12) == [4, 7, 10, 12]
    logits = decoder(image, [golden[f"feature_{block}"] for block in decoder.blocks(12)])
    expected = golden["logits"]
    # Of the volume every second voxel is kept.
    logits = logits[:, :, 0] if name == "unetr2d" else logits[:, :, ::2, ::2, ::2]
    assert_close(logits, expected, rtol=0.0, atol=2e-5)


def image_and_mask(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A bright block on noise, 48 x 48, and where it is."""
    random = np.random.default_rng(seed)
    pixels, mask = random.integers(0, 90, (48, 48), np.uint8), np.zeros((48, 48), np.uint8)
    top, left = random.integers(4, 24, 2)
    pixels[top : top + 17, left : left + 13] += 120
    mask[top : top + 17, left : left + 13] = 7
    return pixels, mask


@pytest.fixture(scope="module")
def folder(medcoss: Medcoss, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images, their masks, and a fine-tuned model in the folder ``model``."""
    folder = tmp_path_factory.mktemp("unetr")
    for name in ("images", "masks"):
        (folder / name).mkdir()
    for at in range(10):
        pixels, mask = image_and_mask(at)
        (folder / f"images/{at}.png").write_bytes(png(pixels))
        (folder / f"masks/{at}.png").write_bytes(png(mask))
    (folder / "run.toml").write_text(
        '[model]\npreset = "demo"\nlayer_scale = 0.1\n[training]\nepochs = 1\nwarmup_epochs = 0\nbatch_size = 8\n'
        '[[stage]]\nmodality = "xray"\ndata = "images"\noptions = { size = 48 }\n'
    )
    (folder / "task.toml").write_text(
        '[[task]]\nname = "block"\nmodality = "xray"\ndata = "images"\n'
        'labels = { masks = "masks", classes = { block = [7] } }\n'
        '[task.finetune]\ntarget = "segmentation"\ndecoder = { name = "unetr", feature_size = 4 }\n'
        "[task.finetune.training]\nepochs = 12\nbatch_size = 4\nlearning_rate = 4e-3\n"
    )
    medcoss("pretrain", folder / "run.toml", "--out", folder / "run", "--quiet")
    medcoss("finetune", folder / "run", folder / "task.toml", "--out", folder / "model", "--quiet")
    return folder


@torch.no_grad()
def test_a_fine_tuned_model_predicts_the_masks_of_the_program(folder: Path, medcoss: Medcoss) -> None:
    arguments = ["predict", folder / "model", folder / "images", "--out", folder / "predicted", "--quiet", "--json"]
    masks = json.loads(medcoss(*arguments))["masks"]
    model, n_found = unetr(folder / "model"), 0
    for path in masks:
        pixels, _ = image_and_mask(int(Path(path).stem))
        image = torch.from_numpy(pixels.astype(np.float32) / 255).expand(1, 3, -1, -1)
        logits = model(image)
        assert logits.shape == (1, 2, 48, 48)
        found = logits[0].argmax(0).numpy() * 7
        assert (found == pixels_of((folder / "predicted" / path).read_bytes())).mean() > 0.999
        assert_close(sliding_window_inference(image, (48, 48), 1, model), logits)
        n_found += int((found > 0).sum())
    assert len(masks) == 10 and n_found > 500


def test_folders_without_such_a_model_are_named(folder: Path, demo: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds no finished model"):
        unetr(demo)
    text = (folder / "model/model.json").read_text()
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(DamagedFileError, match="weights.safetensors is missing"):
        unetr(tmp_path)
    weights = bytearray((folder / "model/weights.safetensors").read_bytes())
    weights[-1] ^= 1
    (tmp_path / "weights.safetensors").write_bytes(weights)
    with pytest.raises(DamagedFileError, match="its SHA-256"):
        unetr(tmp_path)
    (tmp_path / "model.json").write_text(text.replace("unetr", "linear"))
    with pytest.raises(DamagedFileError, match="its content has"):
        unetr(tmp_path)
    zeros = "0" * 64
    state = json.loads(text) | {"checksum": zeros}
    state["config"]["head"]["voxels"]["name"] = "linear"
    from test_run import with_checksum

    (tmp_path / "model.json").write_text(with_checksum(json.dumps(state), '"checksum": "') + "\n")
    with pytest.raises(UnsupportedError, match="expected the decoder unetr"):
        unetr(tmp_path)
