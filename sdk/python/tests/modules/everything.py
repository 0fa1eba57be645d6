"""Recordings of several channels: validity, targets, coordinates, affines, skipped samples, parts of files, an image, presets, an account of
files, a survey."""

import dataclasses
from pathlib import Path
from typing import Optional

import numpy as np

from medcoss_plugin import BadOption, Files, Skip, Survey, axis, find_files, grid, option, png, random_mask

N_CHANNELS, N_PIECES, N_VALUES = 3, 5, 4


@dataclasses.dataclass
class Options:
    gains: list[float] = option([0.9, 1.1], "Range of the random gain.", least=0.5, most=2.0)
    kind: str = option("raw", "What is loaded.", choices=["raw", "squared"])
    shift: bool = option(True, "Whether recordings start at a random place.")
    limit: Optional[float] = option(None, "Largest value, or none.", above=0.0)
    n_masked: int = option(4, "Masked tokens.", least=1, most=14)


class Everything(Files):
    id = "everything"
    version = "1.2.3"
    summary = "recordings of three channels"
    family = "recordings"
    reads = "numbers of 32 bits (.raw)"
    suffixes = ".raw"
    Options = Options
    renders = "png"
    mask_suffixes = (".raw", ".labels")
    renamed_options = {"gain": "gains"}
    option_presets = {"squares": {"kind": "squared"}}

    @staticmethod
    def geometry(options):
        if len(options.gains) != 2 or options.gains[0] > options.gains[1]:
            raise BadOption(f"gains is {options.gains}; two numbers in their order were expected")
        return grid(
            [N_CHANNELS, N_PIECES], N_VALUES, options.n_masked, patch=[1, N_VALUES],
            axes=[axis("lead", places=["I", "II", "V1"]), axis("time", step=0.5, unit="s")],
            validity=True, d_target=2, normalise=False, affines=True,
            coordinates=[{"name": "age", "unit": "years", "range": [0, 120]}],
        )

    @classmethod
    def survey(cls, base, data):
        try:
            files = find_files(base, data, cls.suffixes)
        except FileNotFoundError:
            return Survey(0.0, "no file ends in .raw")
        n = sum(file.n_bytes % (4 * N_CHANNELS) == 0 for file in files)
        facts = {"numbers of a channel": f"at least {min(file.n_bytes for file in files) // (4 * N_CHANNELS)}"}
        return Survey(0.5 * n / len(files), f"{n} of {len(files)} files hold {N_CHANNELS} channels", facts,
                      {"n_masked": (7, "half of the tokens"), "gains": ([1, 1.0], "numbers are calibrated")})

    def open(self):
        super().open()
        empty = [file for file in self.files if file.n_bytes == 0]
        self.files = [file for file in self.files if file.n_bytes > 0]
        for file in empty:
            self.files_account.leave_out(file.id, "an empty file")
        short = sum(file.n_bytes < 4 * N_CHANNELS * N_PIECES * N_VALUES for file in self.files)
        self.files_account.notice(short, len(self.files), "recordings are filled up with zeros")

    def record(self, index):
        return self.files[index].record(group=f"patient {index // 2}", label=None, weight=1.5, metadata={"site": "A"})

    def load(self, index, training, rng):
        values = np.fromfile(self.files[index].path, "<f4")
        if values.size % N_CHANNELS or values.size < N_CHANNELS * (N_PIECES - 1) * N_VALUES or not np.isfinite(values).all():
            raise ValueError(f"{values.size} numbers, or one that is not finite; {N_CHANNELS} channels were expected")
        values = np.clip(values.reshape(N_CHANNELS, -1), -1e6, self.options.limit or 1e6)
        start = int(rng.integers(0, 3)) if training and self.options.shift else 0
        padded = np.zeros((N_CHANNELS, N_PIECES * N_VALUES), np.float32)
        found = values[:, start : start + padded.shape[1]]
        padded[:, : found.shape[1]] = found
        valid = np.ones((N_CHANNELS, N_PIECES), bool)
        valid[:, (found.shape[1] // N_VALUES) :] = False
        tokens = padded.reshape(N_CHANNELS, N_PIECES, N_VALUES) * valid[..., None]
        if training:
            tokens = tokens * rng.uniform(*self.options.gains)
        if self.options.kind == "squared":
            tokens = tokens**2
        sample = {
            "tokens": tokens,
            "valid": valid,
            "targets": np.stack([tokens.min(-1), tokens.max(-1)], -1),
            "coordinates": np.full((N_CHANNELS, N_PIECES, 1), 50 + index) * valid[..., None],
            "affine": np.array([[1, 0, 0], [0, N_VALUES, start]]),
        }
        if np.abs(values).max() < 1e-3:
            raise Skip("flat recording", sample)
        if training:
            sample["mask"] = random_mask(rng, N_CHANNELS * N_PIECES, self.options.n_masked, valid.reshape(-1))
        return sample

    def label_map(self, index, mask):
        labels = np.fromfile(mask.path, np.uint8, N_CHANNELS * N_PIECES * N_VALUES)
        return labels.reshape(N_CHANNELS, N_PIECES * N_VALUES), [1.0, 0.125]

    @staticmethod
    def synthesise(folder, n_samples, seed):
        rng = np.random.default_rng(seed)
        for sample in range(max(n_samples, 4)):
            values = rng.normal(size=(N_CHANNELS, 19 + sample % 4)).astype("<f4")
            # One sample in four is flat.
            (values * (1e-6 if sample % 4 == 2 else 1)).astype("<f4").tofile(Path(folder) / f"{sample:03}.raw")
        return ["."], {"n_masked": 5}

    def render(self, tokens, hidden):
        image = np.where(hidden[:, None], 0, 128 + np.clip(tokens * 40, -100, 100))
        return png(image.reshape(N_CHANNELS, -1).astype(np.uint8))
