"""The program, and runs that it makes once for all tests. ``MEDCOSS_PROGRAM`` names the program."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[4]
GOLDEN = ROOT / "core/tests/golden"

Medcoss = Callable[..., str]


@pytest.fixture(scope="session")
def medcoss() -> Medcoss:
    """Calls the program and returns its output; another exit status than 0 is an error with what it said."""
    program = os.environ.get("MEDCOSS_PROGRAM")
    if not program:
        pytest.fail("MEDCOSS_PROGRAM does not name the program: cargo build, then MEDCOSS_PROGRAM=target/debug/medcoss")

    def call(*arguments: object) -> str:
        done = subprocess.run([Path(program).resolve(), *map(str, arguments)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return call


@pytest.fixture(scope="session")
def demo(medcoss: Medcoss, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over the modalities of all plugins: texts, images, volumes, and those of the plugins beside the program."""
    folder = tmp_path_factory.mktemp("demo") / "demo"
    medcoss("demo", "--out", folder, "--samples", 16, "--quiet")
    return folder / "run"


@pytest.fixture(scope="session")
def published(medcoss: Medcoss, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of imported weights in the published layout, with causal text and without grids."""
    folder = tmp_path_factory.mktemp("published") / "run"
    medcoss("import", GOLDEN / "medcoss_tiny.pth", "--config", GOLDEN / "config.json", "--out", folder)
    return folder


Inputs = dict[str, tuple[np.ndarray, np.ndarray | None]]


@pytest.fixture(scope="session")
def inputs(demo: Path) -> Inputs:
    """Random samples of each token family of the demo, and which of their tokens are no padding."""
    last = sorted((demo / "stages").iterdir())[-1]
    model = json.loads((last / "state.json").read_text())["model"]
    random = np.random.default_rng(7)
    made: Inputs = {}
    for family in model["families"]:
        if family["tokens"]["kind"] == "discrete":
            ids = random.integers(0, family["tokens"]["vocabulary"], (5, 19))
            mask = (np.arange(19) < np.array([[19], [3], [1], [11], [18]])).astype(np.int64)
            made[family["name"]] = ids, mask
        else:
            grid, patch = family["layout"]["grid"], family["layout"].get("patch", [])
            d_token = family["tokens"]["d_token"]
            sides = [side * length for side, length in zip(grid, patch)]
            # The program takes arrays of the families that published weights have, and tokens of others.
            is_array = family["name"] in ("image", "volume")
            shape = [d_token // int(np.prod(patch)), *sides] if is_array else [int(np.prod(grid)), d_token]
            made[family["name"]] = random.random((5, *shape), np.float32), None
    return made


Embed = Callable[..., np.ndarray]


@pytest.fixture(scope="session")
def embed(medcoss: Medcoss, tmp_path_factory: pytest.TempPathFactory) -> Embed:
    """Features that ``medcoss embed`` writes for arrays."""
    from safetensors.numpy import load_file, save_file

    folder = tmp_path_factory.mktemp("embed")

    def call(
        run: Path, family: str, array: np.ndarray, mask: np.ndarray | None = None, pool: str = "mean"
    ) -> np.ndarray:
        arrays = {"x": array} | ({} if mask is None else {"mask": mask})
        save_file(arrays, folder / "in.safetensors")
        arguments = ["embed", run, "--tensors", folder / "in.safetensors", "--input", "x", "--family", family]
        arguments += [] if mask is None else ["--attention-mask", "mask"]
        medcoss(*arguments, "--pool", pool, "--out", folder / "out.safetensors", "--force")
        return load_file(folder / "out.safetensors")["features"]

    return call
