"""Images in arrays: a random crop of 224x224x3, flipped half of the time, standardised, in patches of 16x16. For `python_loader.py`."""

import dataclasses
from pathlib import Path

import numpy as np

from medcoss_plugin import Files, grid, option, random_mask, standardise

SIZE, PATCH = 224, 16
SIDE = SIZE // PATCH
N_TOKENS, D_TOKEN, N_MASKED = SIDE * SIDE, PATCH * PATCH * 3, 147


@dataclasses.dataclass
class Options:
    is_cheap: bool = option(False, "Whether the crop is delivered as it is, so that little but transport remains.")


class PythonImages(Files):
    id = "python_images"
    version = "1.0.0"
    summary = "images in arrays"
    family = "python_images"
    reads = ["arrays of NumPy (.npy)"]
    suffixes = ".npy"
    Options = Options

    @staticmethod
    def geometry(options):
        return grid([SIDE, SIDE], D_TOKEN, N_MASKED, patch=[PATCH, PATCH])

    def load(self, index, training, rng):
        image = np.load(self.files[index].path, mmap_mode="r" if self.options.is_cheap else None)
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or min(image.shape[:2]) < SIZE:
            raise ValueError(f"an array {list(image.shape)} of {image.dtype}; at least [{SIZE}, {SIZE}, 3] of uint8 was expected")
        if self.options.is_cheap:
            tokens = np.full((N_TOKENS, D_TOKEN), image[0, 0, 0], np.float32)
            return {"tokens": tokens, "mask": random_mask(rng, N_TOKENS, N_MASKED)}
        top, left = (rng.integers(n - SIZE + 1) if training else (n - SIZE) // 2 for n in image.shape[:2])
        image = image[top : top + SIZE, left : left + SIZE]
        if training and rng.random() < 0.5:
            image = image[:, ::-1]
        image = standardise(image.astype(np.float32) / np.float32(255))
        tokens = image.reshape(SIDE, PATCH, SIDE, PATCH, 3).transpose(0, 2, 1, 3, 4).reshape(N_TOKENS, D_TOKEN)
        return {"tokens": tokens, "mask": random_mask(rng, N_TOKENS, N_MASKED)} if training else {"tokens": tokens}

    @staticmethod
    def synthesise(folder, n_samples, seed):
        rng = np.random.default_rng(seed)
        for sample in range(n_samples):
            np.save(Path(folder) / f"{sample:04}.npy", rng.integers(0, 256, (256, 256, 3), np.uint8))
        return ["."], {}
