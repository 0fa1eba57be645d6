"""How often host and device wait for each other in training: calls of a wgpu device that read, wait or submit, in a step.

    python3 tests/compare/synchronisations.py --program target/debug/medcoss

Needs gdb, and a program with symbols and the feature wgpu. Two runs of a stage that differ in their number of batches are counted with breakpoints
that only count; the difference is what the batches cost. Losses are read every 16 batches, so a read or a wait for each batch means that something
in the step asks the device for a value. Exit code 1 where a step reads or waits.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

CALLS = ("read_resources", "sync", "submit")
EPOCHS = (1, 3)
BATCHES = 32

CONFIG = """
[model]
preset = "demo"
[training]
epochs = EPOCHS
# Checkpoints read the model.
checkpoint_every = 100
warmup_epochs = 0
batch_size = 2
[buffer]
ratio = 0.1
cluster_ratio = 0.1
[[stage]]
modality = "xray"
data = "xray"
options = { size = 32 }
"""


def counted(program, folder, epochs, device):
    """Number of calls of each kind in a whole run."""
    name = f"run-{epochs}"
    (folder / f"{name}.toml").write_text(CONFIG.replace("EPOCHS", str(epochs)))
    count = [argument for at, place in enumerate(places(program).values(), 1) for argument in ("-ex", f"break {place}", "-ex", f"ignore {at} 1000000000")]
    arguments = ["pretrain", f"{name}.toml", "--out", name, "--device", device, "--quiet"]
    gdb = ["gdb", "-batch", "-ex", "handle all nostop noprint pass", *count, "-ex", "run", "-ex", "info breakpoints", "--args", program]
    done = subprocess.run([*gdb, *arguments], cwd=folder, capture_output=True, text=True)
    if "exited normally" not in done.stdout:
        raise SystemExit(f"the run failed: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    table = done.stdout[done.stdout.rindex("Num ") :]
    hits = {int(at): int(n) for at, n in re.findall(r"^(\d+) +breakpoint.*\n\s+breakpoint already hit (\d+) time", table, re.MULTILINE)}
    return {call: hits.get(at, 0) for at, call in enumerate(CALLS, 1)}


def places(program):
    """Symbols of the calls."""
    symbols = subprocess.run(["nm", program], capture_output=True, text=True, check=True).stdout
    found = dict.fromkeys(CALLS)
    for symbol, call in re.findall(r" (_ZN11cubecl_wgpu7compute6stream10WgpuStream\d+([a-z_]+?)17h\w+E)$", symbols, re.MULTILINE):
        if call in found:
            found[call] = symbol
    if None in found.values():
        raise SystemExit(f"not every call is in the program: {found}")
    return found


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--program", default="target/debug/medcoss")
    arguments.add_argument("--device", default="wgpu")
    given = arguments.parse_args()
    program = str(Path(given.program).resolve())
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        subprocess.run([program, "synth", "--modality", "xray", "--samples", str(2 * BATCHES), "--out", "xray"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        few, many = (counted(program, folder, epochs, given.device) for epochs in EPOCHS)
    steps = BATCHES * (EPOCHS[1] - EPOCHS[0])
    by_step = {call: (many[call] - few[call]) / steps for call in CALLS}
    print(json.dumps({"steps": steps, "calls_of_the_shorter_run": few, "calls_of_the_longer_run": many, "calls_in_a_step": by_step}, indent=2))
    # Losses are read every 16 batches and at the end of an epoch.
    if many["submit"] <= few["submit"]:
        print("nothing was counted", file=sys.stderr)
        return 1
    return 1 if by_step["read_resources"] > 0.2 or by_step["sync"] > 0.2 else 0


if __name__ == "__main__":
    sys.exit(main())
