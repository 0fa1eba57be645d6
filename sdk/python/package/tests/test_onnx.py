"""ONNX files in onnxruntime."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from conftest import Embed, Inputs

from medcoss.onnx import main


@pytest.mark.parametrize("family", ["text", "image", "volume"])
def test_onnxruntime_gives_the_features_of_the_program(
    demo: Path, inputs: Inputs, embed: Embed, tmp_path: Path, family: str
) -> None:
    out, (array, mask) = tmp_path / "encoder.onnx", inputs[family]
    size = ["--size", "19"] if family == "text" else []
    assert main([str(demo), "--family", family, "--out", str(out), *size]) == 0
    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    for n in (1, 5):
        given = {"inputs": array[:n]} | ({} if mask is None else {"attention_mask": mask[:n]})
        tokens, features = session.run(["tokens", "features"], given)
        expected = embed(demo, family, array[:n], None if mask is None else mask[:n])
        np.testing.assert_allclose(features, expected, rtol=0, atol=1e-5)
        assert tokens.shape[0] == n and tokens.shape[2] == features.shape[1]


def test_files_are_not_overwritten_and_families_are_named(
    demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine.onnx"
    out.write_text("mine")
    assert main([str(demo), "--family", "image", "--out", str(out)]) == 1
    assert "overwrite it with --force" in capsys.readouterr().err and out.read_text() == "mine"
    assert main([str(demo), "--family", "gait", "--out", str(tmp_path / "new.onnx")]) == 1
    assert "no token family gait" in capsys.readouterr().err
