"""The work of `medcoss bench load` with Pillow, nibabel, pydicom and numpy: decode, augment, tokenise, mask, batch.

    python tests/compare/samples.py /tmp/load
    python tests/compare/load.py /tmp/load                                  # Python only
    python tests/compare/load.py /tmp/load --medcoss target/release/medcoss # both in turns, and their ratio

One process, one core, no worker processes. Each class does the work of a plugin in the way that is usual in Python, and no more: files
are listed and series sorted before the clock starts. Prints JSON; `median_seconds` is the time of an iteration of `samples` samples,
after a warm-up. With --medcoss, Python and medcoss take turns, `--rounds` times, so that changes in the machine's load affect both.
CPU seconds (`cpu`) are reported as well as wall time.
"""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import argparse
import json
import statistics
import subprocess
import time
from pathlib import Path

import nibabel
import numpy as np
import pydicom
from PIL import Image

N_WARM_UP = 3
PATCH = 16
MASK_RATIO = 0.75


def masked(n_tokens, rng):
    mask = np.zeros(n_tokens, np.uint8)
    mask[rng.permutation(n_tokens)[: int(n_tokens * MASK_RATIO)]] = 1
    return mask


def patches_2d(image, tokens):
    """Cuts an image [size, size, 3] into patches [tokens, 16 * 16 * 3]."""
    side = image.shape[0] // PATCH
    cut = image.reshape(side, PATCH, side, PATCH, 3).transpose(0, 2, 1, 3, 4)
    tokens.reshape(side, side, PATCH, PATCH, 3)[...] = cut


def patches_3d(block, tokens):
    """Cuts a volume [depth, rows, columns] into patches [tokens, 16 * 16 * 16]."""
    grid = [n // PATCH for n in block.shape]
    cut = block.reshape(grid[0], PATCH, grid[1], PATCH, grid[2], PATCH).transpose(0, 2, 4, 1, 3, 5)
    tokens.reshape(*grid, PATCH, PATCH, PATCH)[...] = cut


def mirrored(block, rng):
    """Flips half of the blocks, along each axis with probability 1/2."""
    if rng.random() < 0.5:
        for axis in range(3):
            if rng.random() < 0.5:
                block = np.flip(block, axis)
    return block


class Images:
    """Random resized crops of 224x224 from JPEG of 512x512, flipped half of the time, in [0, 1]."""

    SIZE = 224
    n_tokens, d_token = (SIZE // PATCH) ** 2, PATCH * PATCH * 3

    def __init__(self, folder, mode):
        self.files = sorted((folder / "jpeg").glob("*.jpg"))
        self.mode = mode

    def __len__(self):
        return len(self.files)

    def crop(self, width, height, rng):
        """The crop of torchvision's RandomResizedCrop."""
        for _ in range(10):
            area = width * height * rng.uniform(0.2, 1.0)
            aspect = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
            wide, high = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
            if 0 < wide <= width and 0 < high <= height:
                return rng.integers(width - wide + 1), rng.integers(height - high + 1), wide, high
        side = min(width, height)
        return (width - side) // 2, (height - side) // 2, side, side

    def load(self, index, rng, tokens):
        with Image.open(self.files[index]) as file:
            image = file.convert(self.mode)
        left, top, wide, high = self.crop(*image.size, rng)
        image = image.crop((left, top, left + wide, top + high)).resize((self.SIZE, self.SIZE), Image.BICUBIC)
        if rng.random() < 0.5:
            image = image.transpose(Image.FLIP_LEFT_RIGHT)
        pixels = np.asarray(image, np.float32) / np.float32(255)
        if self.mode == "L":
            pixels = np.broadcast_to(pixels[..., None], (*pixels.shape, 3))
        patches_2d(pixels, tokens)


class Blocks:
    """Sub-volumes [depth, rows, columns] as tokens of 16x16x16 voxels."""

    def measures(self, size):
        self.size = size
        self.n_tokens, self.d_token = int(np.prod(size)) // PATCH**3, PATCH**3

    def windows(self, n_slices, first=0):
        depth = self.size[0]
        end = n_slices - first
        if end - first <= depth:
            return [first]
        starts = list(range(first, end - depth + 1, depth))
        return starts if starts[-1] == end - depth else [*starts, end - depth]


def oriented(image):
    """Orientation of a NIfTI image's axes, for `to_depth_rows_columns`. Voxels are not read."""
    return nibabel.orientations.io_orientation(image.affine)


def to_depth_rows_columns(voxels, orientation):
    """Turns a block to [depth, rows, columns]: slices from below, rows from the front, columns from the right, as the plugins do."""
    voxels = nibabel.orientations.apply_orientation(voxels, orientation)[::-1, ::-1, :]
    return voxels.transpose(2, 1, 0)


class SmallScans(Blocks):
    """Sub-volumes of small gzipped NIfTI scans: clipped to percentiles, standardised, cropped or padded about the centre."""

    def __init__(self, folder):
        self.measures((32, 48, 32))
        self.samples = []
        for path in sorted((folder / "nifti").glob("*.nii.gz")):
            image = nibabel.load(path)
            turned = nibabel.orientations.io_orientation(image.affine)[:, 0].astype(int).tolist()
            n_slices = image.shape[turned.index(2)]
            self.samples += [(path, first) for first in self.windows(n_slices)]

    def __len__(self):
        return len(self.samples)

    def load(self, index, rng, tokens):
        path, first = self.samples[index]
        image = nibabel.load(path)
        volume = to_depth_rows_columns(np.asanyarray(image.dataobj), oriented(image))
        block = volume[first : first + self.size[0]].astype(np.float32)
        # Cropped about the centre of rows and columns.
        for axis in (1, 2):
            n, wanted = block.shape[axis], self.size[axis]
            if n > wanted:
                start = (n - wanted) // 2
                block = block[(slice(None),) * axis + (slice(start, start + wanted),)]
        low, high = np.percentile(block, [0.2, 99.8])
        block = np.clip(block, low, high)
        block = (block - block.mean()) / block.std()
        short = [wanted - n for n, wanted in zip(block.shape, self.size)]
        if any(short):
            block = np.pad(block, [(n // 2, n - n // 2) for n in short], constant_values=block.min())
        patches_3d(mirrored(block, rng), tokens)


class LargeScan(Blocks):
    """Sub-volumes of 16 slices of one large NIfTI scan, in Hounsfield units clipped to a range."""

    def __init__(self, folder, kind):
        self.path = next((folder / "volume" / kind).iterdir())
        image = nibabel.load(self.path)
        self.orientation = oriented(image)
        turned = self.orientation[:, 0].astype(int).tolist()
        self.axis = turned.index(2)
        self.reversed = self.orientation[self.axis, 1] < 0
        columns, rows = image.shape[turned.index(0)], image.shape[turned.index(1)]
        self.measures((16, rows, columns))
        self.n_slices = image.shape[self.axis]
        self.starts = self.windows(self.n_slices)

    def __len__(self):
        return len(self.starts)

    def load(self, index, rng, tokens):
        first, depth = self.starts[index], self.size[0]
        if self.reversed:
            first = self.n_slices - first - depth
        # nibabel reads only these slices, where the file permits it.
        part = [slice(None)] * 3
        part[self.axis] = slice(first, first + depth)
        image = nibabel.load(self.path)
        block = to_depth_rows_columns(np.asanyarray(image.dataobj[tuple(part)]), self.orientation).astype(np.float32)
        block = np.clip(block / np.float32(1024), -1, 1)
        patches_3d(mirrored(block, rng), tokens)


class Series(Blocks):
    """Sub-volumes of 16 slices of 512x512 of a DICOM series, in Hounsfield units clipped to a range."""

    def __init__(self, folder):
        self.measures((16, 512, 512))
        headers = [(path, pydicom.dcmread(path, stop_before_pixels=True)) for path in (folder / "dicom").iterdir()]
        headers.sort(key=lambda pair: float(pair[1].ImagePositionPatient[2]))
        self.files = [path for path, _ in headers]
        self.starts = self.windows(len(self.files))

    def __len__(self):
        return len(self.starts)

    def load(self, index, rng, tokens):
        slices = []
        for path in self.files[self.starts[index] :][: self.size[0]]:
            file = pydicom.dcmread(path)
            pixels = file.pixel_array.astype(np.float32)
            slices.append(pixels * np.float32(file.RescaleSlope) + np.float32(file.RescaleIntercept))
        block = np.clip(np.stack(slices) / np.float32(1024), -1, 1)
        patches_3d(mirrored(block, rng), tokens)


def workloads(folder):
    """Workloads by name: the Python dataset, the arguments of `medcoss bench load`, samples per iteration, samples per batch."""
    mri = ["--set", "size=[32,48,32]", "--set", "spacing_mm=[1,1,1]", "--set", "drop_ends_ratio=0.0", "--set", "cache_mb=0"]
    ct = lambda size, *more: ["--modality", "ct", "--set", f"size={size}", *more]
    data = lambda name: ["--data", str(folder / name)]
    return {
        "jpeg_grey": (lambda: Images(folder, "L"), ["--modality", "xray", *data("jpeg")], 64, 8),
        "jpeg_colour": (lambda: Images(folder, "RGB"), ["--modality", "pathology", *data("jpeg")], 64, 8),
        "nifti_small": (lambda: SmallScans(folder), ["--modality", "mri", *data("nifti"), *mri], 64, 8),
        "nifti_plain": (
            lambda: LargeScan(folder, "plain"),
            [*ct("[16,256,256]", "--set", "cache_mb=0"), *data("volume/plain")],
            32,
            8,
        ),
        "nifti_gzipped": (
            lambda: LargeScan(folder, "gzipped"),
            [*ct("[16,256,256]", "--set", "cache_mb=0"), *data("volume/gzipped")],
            8,
            8,
        ),
        "dicom": (lambda: Series(folder), [*ct("[16,512,512]", "--set", "cache_mb=0"), *data("dicom")], 8, 4),
    }


class Python:
    def __init__(self, make, n_samples, batch):
        self.dataset = make()
        self.n_samples, self.batch = n_samples, batch
        self.rng = np.random.default_rng(7)
        order = self.rng.permutation(len(self.dataset))
        self.order = [int(order[at % len(order)]) for at in range(n_samples)]

    def iteration(self):
        n_tokens, d_token = self.dataset.n_tokens, self.dataset.d_token
        for at in range(0, self.n_samples, self.batch):
            indices = self.order[at : at + self.batch]
            tokens = np.empty((len(indices), n_tokens, d_token), np.float32)
            mask = np.empty((len(indices), n_tokens), np.uint8)
            for slot, index in enumerate(indices):
                self.dataset.load(index, self.rng, tokens[slot])
                mask[slot] = masked(n_tokens, self.rng)

    def measure(self, iterations):
        """Median seconds of wall time and of CPU time."""
        wall, cpu = [], []
        for round_ in range(N_WARM_UP + iterations):
            began = time.perf_counter(), time.process_time()
            self.iteration()
            if round_ >= N_WARM_UP:
                wall.append(time.perf_counter() - began[0])
                cpu.append(time.process_time() - began[1])
        return statistics.median(wall), statistics.median(cpu)


def medcoss(program, plugins, arguments, n_samples, batch, iterations):
    command = [program, "bench", "load", *arguments, "--samples", n_samples, "--batch", batch, "--iterations", iterations, "--json"]
    command += [part for folder in plugins for part in ("--plugin-dir", folder)]
    answer = subprocess.run([str(part) for part in command], check=True, stdout=subprocess.PIPE, text=True)
    of = json.loads(answer.stdout)["by_threads"][0]
    return of["median_seconds"], of["median_cpu_seconds"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="what samples.py wrote")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="some of the paths")
    parser.add_argument("--iterations", type=int, default=5, help="that are measured in each round, at least 5")
    parser.add_argument("--rounds", type=int, default=3, help="that Python and medcoss take turns")
    parser.add_argument("--medcoss", help="the program; without it, Python alone is measured")
    parser.add_argument("--plugin-dir", action="append", default=[], help="folder with the plugins' libraries")
    asked = parser.parse_args()
    found = {}
    for name, (make, arguments, n_samples, batch) in workloads(asked.folder).items():
        if asked.only and name not in asked.only:
            continue
        python, other = Python(make, n_samples, batch), []
        own = []
        for _ in range(asked.rounds):
            own.append(python.measure(asked.iterations))
            if asked.medcoss:
                other.append(medcoss(asked.medcoss, asked.plugin_dir, arguments, n_samples, batch, asked.iterations))
        middle = lambda pairs, at: statistics.median(pair[at] for pair in pairs)
        found[name] = {
            "measured": type(python.dataset).__doc__,
            "samples": n_samples,
            "median_seconds": middle(own, 0),
            "median_cpu_seconds": middle(own, 1),
            "samples_per_second": n_samples / middle(own, 0),
        }
        if other:
            found[name]["medcoss"] = {
                "median_seconds": middle(other, 0),
                "median_cpu_seconds": middle(other, 1),
                "samples_per_second": n_samples / middle(other, 0),
            }
            found[name]["ratio"] = middle(own, 0) / middle(other, 0)
            found[name]["ratio_cpu"] = middle(own, 1) / middle(other, 1)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
