"""A device against the CPU: training of all token families, a resume, features and scores.

    python3 tests/compare/devices.py --program target/release/medcoss --device cuda
    python3 tests/compare/devices.py --program target/release/medcoss --device wgpu --precision float32 --json found.json

Needs nothing but Python and a program with this kind of device. The stages are text, X-ray and CT on samples that the plugins write. Compared are
the losses of every epoch, the tensors of the last model, the features of one model on both devices, and its scores. Then a run on the device is
killed and resumed, which must give the bytes of a run without a kill, and a run that the CPU began goes on on the device. With bfloat16 the CPU's
kernels round operands as the device does. With --quick there are two stages and one kill. Exit code 1 where a difference is larger than its limit.
"""

import argparse
import csv
import json
import math
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CONFIG = """
seed = 3
[model]
preset = "demo"
layer_scale = 0.1
[buffer]
ratio = 0.5
cluster_ratio = 0.1
[optimiser]
base_learning_rate = 0.02
[training]
epochs = EPOCHS
warmup_epochs = 1
batch_size = 8
precision = "PRECISION"
checkpoint_every_steps = 2
[[stage]]
modality = "text"
data = "text"
options = { text_column = "report", max_length = 16, vocab_size = 128 }
[[stage]]
modality = "xray"
data = "xray"
options = { size = 64 }
"""

VOLUMES = """
[[stage]]
modality = "ct"
data = "ct"
options = { size = [16, 32, 32] }
"""

TASKS = """
[[task]]
name = "findings"
modality = "xray"
data = "xray"
protocol = "knn"
k = 3
labels = { table = "xray/labels.csv", key = "file", label = "finding" }
"""

NOT_COMPARED = {"timing.jsonl", ".lock", "run.json"}

#: Largest differences that pass, by precision: of losses and features relative to the largest magnitude, of tensors to their norm,
#: of scores absolute. Rounding differs from the first product on, and training amplifies it.
LIMITS = {
    "float32": {"losses": 2e-3, "tensors": 5e-2, "features": 2e-5, "scores": 0.1, "moved": 2e-3},
    "bfloat16": {"losses": 3e-2, "tensors": 5e-1, "features": 2e-5, "scores": 0.2, "moved": 3e-2},
}


class Comparison:
    def __init__(self, program, device, precision, folder, epochs, samples, quick):
        self.program, self.device, self.precision, self.folder, self.quick = program, device, precision, folder, quick
        self.modalities = ["text", "xray"] if quick else ["text", "xray", "ct"]
        for modality in self.modalities:
            n = samples if modality == "ct" else 2 * samples
            self.medcoss("synth", "--modality", modality, "--samples", str(n), "--out", modality)
        config = (CONFIG if quick else CONFIG + VOLUMES).replace("EPOCHS", str(epochs)).replace("PRECISION", precision)
        (folder / "run.toml").write_text(config)
        (folder / "tasks.toml").write_text(TASKS)
        self.seconds = {}

    def medcoss(self, *arguments):
        """Runs a command and returns its seconds."""
        began = time.monotonic()
        done = subprocess.run([self.program, *arguments], cwd=self.folder, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"medcoss {' '.join(arguments)} failed: {done.stderr}")
        return round(time.monotonic() - began, 2)

    def pretrain(self, out, device):
        return self.medcoss("pretrain", "run.toml", "--out", out, "--device", device, "--quiet")

    def losses(self, run):
        """Losses of all epochs of all stages, by name."""
        found = []
        for metrics in sorted((self.folder / run / "stages").glob("*/metrics.jsonl")):
            for line in metrics.read_text().splitlines():
                epoch = json.loads(line)
                found += [value for kind in ("pretext", "distillation") for _, value in sorted(epoch[kind].items())]
        assert len(found) > 3, f"no losses in {run}"
        return found

    def tensors(self, run):
        """The model's tensors, by name."""
        file = f"{run}.safetensors"
        self.medcoss("export", run, "--out", file, "--layout", "medcoss-rs")
        return safetensors(self.folder / file)

    def features(self, run, device, modality):
        file = f"{modality}-on-{device.replace(':', '-')}.safetensors"
        self.medcoss("embed", run, "--modality", modality, "--data", modality, "--device", device, "--out", file)
        return safetensors(self.folder / file)["features"]

    def scores(self, run, device):
        out = f"scores-{device.replace(':', '-')}"
        self.medcoss("eval", run, "tasks.toml", "--device", device, "--out", out, "--quiet")
        with open(self.folder / out / "scores.csv") as table:
            return [float(row["value"]) for row in csv.DictReader(table)]

    def killed(self, out, device, seconds):
        """Begins a run or goes on with it, and kills it after some seconds. Returns whether it was still running."""
        command = ["resume", out] if (self.folder / out / "run.toml").exists() else ["pretrain", "run.toml", "--out", out]
        command = [self.program, *command, "--device", device, "--quiet"]
        child = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            child.wait(seconds)
            return False
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            return True

    def resumed(self, expected, out, device):
        """Number of kills of a run on the device, and the files that are not those of an undisturbed run after it was resumed."""
        fractions = (0.6,) if self.quick else (0.4, 0.6, 0.6)
        kills = sum(self.killed(out, device, fraction * self.seconds["pretrain_device_again"]) for fraction in fractions)
        self.medcoss("resume", out, "--device", device, "--quiet")
        return kills, differing(content(self.folder / expected), content(self.folder / out))

    def run(self):
        device = self.device
        self.seconds["pretrain_cpu"] = self.pretrain("on-cpu", "cpu")
        self.seconds["pretrain_device"] = self.pretrain("on-device", device)
        # The first run may have compiled shaders for all later ones.
        self.seconds["pretrain_device_again"] = self.pretrain("again", device)
        found = {"losses": relative(self.losses("on-device"), self.losses("on-cpu"))}
        cpu, other = self.tensors("on-cpu"), self.tensors("on-device")
        assert cpu.keys() == other.keys(), "the models have different tensors"
        parts = sorted(distance(cpu[name], other[name]) / norm(cpu[name]) for name in cpu if norm(cpu[name]) > 0.0)
        found["tensors"], found["tensors_median"] = parts[-1], parts[len(parts) // 2]
        found["features"] = max(
            relative(self.features("on-cpu", device, modality), self.features("on-cpu", "cpu", modality))
            for modality in self.modalities[-2:]
        )
        on_cpu, on_device = self.scores("on-cpu", "cpu"), self.scores("on-cpu", device)
        found["scores"] = max(abs(a - b) for a, b in zip(on_cpu, on_device, strict=True))
        repeated = differing(content(self.folder / "on-device"), content(self.folder / "again"))
        kills, resumed = self.resumed("on-device", "resumed", device)
        if not self.quick:
            self.killed("moved", "cpu", 0.5 * self.seconds["pretrain_cpu"])
            self.medcoss("resume", "moved", "--device", device, "--quiet")
            found["moved"] = relative(self.losses("moved"), self.losses("on-cpu"))
        return {
            "device": device,
            "precision": self.precision,
            "differences": found,
            "limits": LIMITS[self.precision],
            "files_that_differ_when_repeated": repeated,
            "kills": kills,
            "files_that_differ_after_resume": resumed,
            "seconds": self.seconds,
        }


def safetensors(path):
    """The float32 tensors of a file, by name."""
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    tensors = {}
    for name, entry in json.loads(data[8 : 8 + size]).items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            begin, end = entry["data_offsets"]
            tensors[name] = struct.unpack(f"<{(end - begin) // 4}f", data[8 + size + begin : 8 + size + end])
    assert tensors, f"no float32 tensors in {path}"
    return tensors


def norm(values):
    return math.sqrt(sum(value * value for value in values))


def distance(one, other):
    return math.sqrt(sum((a - b) ** 2 for a, b in zip(one, other, strict=True)))


def relative(found, expected):
    """Largest difference over the largest magnitude."""
    largest = max(abs(value) for value in expected)
    return max(abs(a - b) for a, b in zip(found, expected, strict=True)) / largest


def content(folder):
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in NOT_COMPARED)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def differing(expected, found):
    return sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--program", default="target/release/medcoss")
    arguments.add_argument("--device", required=True)
    arguments.add_argument("--precision", choices=LIMITS, default="float32")
    arguments.add_argument("--epochs", type=int, default=3)
    arguments.add_argument("--samples", type=int, default=24, help="CT volumes; twice as many of the others")
    arguments.add_argument("--quick", action="store_true", help="two stages and one kill")
    arguments.add_argument("--json", type=Path, help="file for the figures")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        program = str(Path(given.program).resolve())
        found = Comparison(program, given.device, given.precision, Path(folder), given.epochs, given.samples, given.quick).run()
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))
    too_large = [name for name, limit in found["limits"].items() if found["differences"].get(name, 0.0) > limit]
    files = found["files_that_differ_when_repeated"] + found["files_that_differ_after_resume"]
    if too_large or files or not found["kills"]:
        print(f"FAILED: above the limit: {too_large}; files that differ: {files}; kills: {found['kills']}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
