"""The encoder in PyTorch against what the program writes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import GOLDEN, Embed, Inputs, Medcoss
from png_image import png
from safetensors.numpy import load_file
from torch.testing import assert_close

import medcoss
from medcoss.huggingface.encoder_medcoss import Encoder as EncoderModule
from medcoss.huggingface.positions_medcoss import place_weights
from medcoss.torch import Encoder

TOLERANCE = {"rtol": 0.0, "atol": 1e-5}


def tensors(pair: tuple[np.ndarray, np.ndarray | None]) -> tuple[torch.Tensor, torch.Tensor | None]:
    array, mask = pair
    return torch.from_numpy(array), None if mask is None else torch.from_numpy(mask)


@torch.no_grad()
def test_outputs_and_features_are_those_of_the_program(demo: Path, inputs: Inputs, embed: Embed) -> None:
    assert {"text", "image", "volume"} <= set(inputs)
    for family, (array, padding) in inputs.items():
        encoder = Encoder.from_run(demo, family)
        x, mask = tensors((array, padding))
        outputs = encoder(x, mask)
        exists = slice(None) if mask is None else mask.bool()
        expected = {pool: torch.from_numpy(embed(demo, family, array, padding, pool)) for pool in ("none", "mean")}
        assert_close(outputs[exists], expected["none"][exists], **TOLERANCE)
        assert_close(encoder.pooled(outputs, mask), expected["mean"], **TOLERANCE)
        if family != "text":
            assert torch.equal(encoder.pooled(outputs, mask, "cls"), outputs[:, 0])


@torch.no_grad()
def test_a_stage_and_a_modality_are_selected(demo: Path, inputs: Inputs) -> None:
    x, _ = tensors(inputs["image"])
    run = medcoss.Run(demo)
    number = next(stage.number for stage in run.stages if stage.modality == "xray")
    early, late = Encoder.from_run(demo, "xray", stage=number), Encoder.from_run(demo, "image")
    assert (early(x) - late(x)).abs().max() > 1e-3
    with pytest.raises(medcoss.RunError, match="no token family volume"):
        Encoder.from_run(demo, "volume", stage=number)
    with pytest.raises(medcoss.RunError, match="no finished stage 99"):
        Encoder.from_run(demo, "image", stage=99)


@torch.no_grad()
def test_an_exported_file_gives_the_same_encoder(demo: Path, inputs: Inputs, medcoss: Medcoss, tmp_path: Path) -> None:
    file = tmp_path / "all.safetensors"
    medcoss("export", demo, "--layout", "medcoss-rs", "--out", file)
    for family, pair in inputs.items():
        x, mask = tensors(pair)
        assert torch.equal(Encoder.from_file(file, family)(x, mask), Encoder.from_run(demo, family)(x, mask))


@torch.no_grad()
def test_published_weights_give_the_references_features(published: Path) -> None:
    for family, names in {"image": ("image_2d", "features_2d"), "volume": ("image_3d", "features_3d")}.items():
        golden = load_file(GOLDEN / f"{family}.safetensors")
        image, features = (torch.from_numpy(golden[name]) for name in names)
        assert_close(Encoder.from_run(published, family, stage=0)(image), features, **TOLERANCE)
    golden = load_file(GOLDEN / "text.safetensors")
    ids, mask = torch.from_numpy(golden["token_ids"]), torch.from_numpy(golden["attention_mask"])
    found, expected = Encoder.from_run(published, "text")(ids, mask), torch.from_numpy(golden["features_text_causal"])
    assert_close(found[mask.bool()], expected[mask.bool()], **TOLERANCE)


@torch.no_grad()
def test_images_of_another_size_take_the_positions_of_the_program(demo: Path, medcoss: Medcoss, tmp_path: Path) -> None:
    encoder = Encoder.from_run(demo, "xray")
    sides = [side * length for side, length in zip(encoder.grid or [], encoder.patch or [])]
    for size in (sides[0], sides[0] + 32, sides[0] - 16):
        folder = tmp_path / str(size)
        folder.mkdir()
        pixels = np.random.default_rng(size).integers(0, 256, (size, size), np.uint8)
        (folder / "image.png").write_bytes(png(pixels))
        (folder / "labels.csv").write_text("file,finding\nimage.png,none\n")
        out, option = folder / "features.safetensors", f"size={size}"
        data = ["--data", "image.png", "--data-root", folder, "--set", option]
        medcoss("embed", demo, "--modality", "xray", *data, "--out", out)
        x = torch.from_numpy(pixels.astype(np.float32) / 255).expand(1, 3, -1, -1)
        assert_close(encoder.pooled(encoder(x)), torch.from_numpy(load_file(out)["features"]), **TOLERANCE)


@torch.no_grad()
def test_features_of_blocks_and_tokens_without_a_class_token(demo: Path, inputs: Inputs) -> None:
    encoder = Encoder.from_run(demo, "image")
    x, _ = tensors(inputs["image"])
    first, last = encoder.features(x, [0, len(encoder.blocks)])
    assert torch.equal(last, encoder(x)) and torch.equal(first[:, 1:], encoder.embed(x))
    tokens, grid = encoder.tokens(x)
    assert torch.equal(encoder(tokens, grid=grid), last)
    without = encoder.features(x, [2], class_token=False)[0]
    assert without.shape[1] == encoder.features(x, [2])[0].shape[1] - 1


@torch.no_grad()
def test_tokens_that_do_not_exist_change_no_others(demo: Path, inputs: Inputs) -> None:
    encoder = Encoder.from_run(demo, "image")
    tokens, grid = encoder.tokens(tensors(inputs["image"])[0])
    mask = torch.ones(tokens.shape[:2], dtype=torch.bool)
    mask[:, -2:] = False
    outputs = encoder(tokens, mask, grid=grid)
    tokens[:, -2:] += 9
    others = encoder(tokens, mask, grid=grid)
    assert_close(outputs[:, :-2], others[:, :-2])
    assert_close(encoder.pooled(outputs, mask), outputs[:, :-2].mean(1))


def gait(**options: object) -> EncoderModule:
    axes = [{"name": "lead", "places": ["I", "II", "V1"]}, {"name": "time", "step": [0.3, "s"]}]
    sizes = {"width": 8, "layers": 1, "heads": 2, "mlp_width": 16, "n_positions": 20, "d_token": 5}
    encoder = EncoderModule(**sizes | {"grid": [3, 4], "patch": [1, 5], "axes": axes} | options)  # type: ignore[arg-type]
    encoder.embedder.spatial.data = torch.arange(20.0)[:, None].expand(20, 8).clone()
    return encoder


def test_places_follow_names_and_steps() -> None:
    """The cases of the program's own tests (`core/src/model/position_map.rs`)."""
    encoder = gait()
    leads, time = encoder.embedder.axes
    window = encoder.embedder.positions(6, [3, 2], [leads, time])[:, 0]
    assert window.tolist() == [0, 1, 4, 5, 8, 9]
    montage = [{"name": "lead", "places": ["V1", "I"]}, time]
    assert encoder.embedder.positions(8, [2, 4], montage)[:, 0].tolist() == [8, 9, 10, 11, 0, 1, 2, 3]
    slower = [{"name": "lead", "places": ["I"]}, {"name": "time", "step": [0.6, "s"]}]
    assert encoder.embedder.positions(2, [1, 2], slower)[:, 0].tolist() == [0.5, 2.5]
    assert encoder.embedder.positions(12).equal(encoder.embedder.positions(12, [3, 4]))
    for own, grid, message in [
        ([leads, time], [3, 5], "axis time is 1.5 s long"),
        ([{"name": "lead", "places": ["I", "aVR"]}, time], [2, 4], "axis lead has the place aVR"),
        ([{"name": "lead"}, time], [2, 4], "state its axes"),
        ([leads, {"name": "time", "step": [0.3, "mm"]}], [3, 4], "state its axes"),
        ([leads, time], [3], "expected 2 sides"),
    ]:
        with pytest.raises(ValueError, match=message):
            encoder.embedder.positions(int(np.prod(grid)), grid, own)


def test_a_stretched_grid_equals_bilinear_interpolation_of_pytorch() -> None:
    encoder = gait(grid=[2, 3], patch=[1, 5], axes=None)
    image = torch.arange(6.0).reshape(1, 1, 2, 3)
    expected = torch.nn.functional.interpolate(image, (3, 2), mode="bilinear", align_corners=False)
    assert_close(encoder.embedder.positions(6, [3, 2])[:, 0], expected.flatten())
    assert place_weights({}, {}, 1, 3) == [[1.0]] * 3


def test_wrong_inputs_are_named() -> None:
    encoder = gait()
    for x, message in [
        (torch.zeros(1, 3, 4), "tokens have 4 values, expected 5"),
        (torch.zeros(1, 21, 5), "samples have 21 tokens, expected at most 20"),
        (torch.zeros(1, 1, 3, 19), "expected .B, N, 5. or"),
        (torch.zeros(2, 5), "expected .B, N, 5. or"),
    ]:
        with pytest.raises(ValueError, match=message):
            encoder(x)
    with pytest.raises(ValueError, match="pooling is 'max'"):
        encoder.pooled(torch.zeros(1, 2, 8), pooling="max")
    with pytest.raises(ValueError, match="either d_token"):
        gait(vocabulary=3)
