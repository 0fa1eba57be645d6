"""The exported folder in transformers."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Embed, Inputs, Medcoss
from torch.testing import assert_close
from transformers import AutoImageProcessor, AutoModel


@pytest.fixture(params=["text", "image", "volume"])
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@torch.no_grad()
def test_auto_model_gives_the_features_of_the_program(
    demo: Path,
    inputs: Inputs,
    embed: Embed,
    medcoss: Medcoss,
    tmp_path: Path,
    family: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "encoder"
    said = json.loads(medcoss("export", demo, "--layout", "huggingface", "--family", family, "--out", folder, "--json"))
    assert said["files"] == sorted(path.name for path in folder.iterdir())
    model = AutoModel.from_pretrained(folder, trust_remote_code=True).eval()
    array, mask = inputs[family]
    name = "pixel_values" if mask is None else "input_ids"
    arguments = {name: torch.from_numpy(array)} | ({} if mask is None else {"attention_mask": torch.from_numpy(mask)})
    outputs = model(**arguments, output_hidden_states=True)
    pooled = torch.from_numpy(embed(demo, family, array, mask))
    assert_close(outputs.pooler_output, pooled, rtol=0.0, atol=1e-5)
    assert len(outputs.hidden_states) == model.config.num_hidden_layers + 1
    assert model.config.hidden_size == outputs.last_hidden_state.shape[-1]
    # A folder that transformers wrote itself is the same model.
    model.save_pretrained(tmp_path / "again")
    again = AutoModel.from_pretrained(tmp_path / "again", trust_remote_code=True).eval()
    assert torch.equal(again(**arguments).pooler_output, outputs.pooler_output)


def test_images_are_prepared_as_stated(demo: Path, medcoss: Medcoss, tmp_path: Path) -> None:
    medcoss("export", demo, "--layout", "huggingface", "--family", "image", "--out", tmp_path / "encoder")
    processor = AutoImageProcessor.from_pretrained(tmp_path / "encoder")
    size = processor.crop_size["height"]
    image = np.random.default_rng(3).integers(0, 256, (size, size, 3), np.uint8)
    found = processor(image, return_tensors="np")["pixel_values"][0]
    np.testing.assert_allclose(found, image.transpose(2, 0, 1) / 255, atol=1e-6)


def test_the_card_says_where_the_weights_come_from(demo: Path, medcoss: Medcoss, tmp_path: Path) -> None:
    medcoss(
        "export", demo, "--layout", "huggingface", "--family", "volume", "--out", tmp_path / "encoder", "--stage", 3
    )
    card = (tmp_path / "encoder/README.md").read_text()
    assert "| 3 | ct | volume |" in card and "| 4 |" not in card and "seed 0" in card
    assert str(demo) not in "".join(path.read_text(errors="replace") for path in (tmp_path / "encoder").iterdir())
