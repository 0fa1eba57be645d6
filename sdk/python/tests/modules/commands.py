"""Files whose first word says what happens when they are loaded."""

import ctypes
import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np

from medcoss_plugin import Files, Skip, Unsupported, grid, random_mask

# What is printed must not reach the host's standard output.
print("commands is imported")


class Commands(Files):
    id = "commands"
    summary = "files that say what happens"
    family = "commands"
    reads = ["commands (.txt)"]
    suffixes = ".txt"
    time_limit_s = 3

    @staticmethod
    def geometry(options):
        return grid([4], 2, 2)

    def load(self, index, training, rng):
        word = self.files[index].path.read_text().split()[0]
        sample = {"tokens": rng.normal(size=(4, 2)), "mask": random_mask(rng, 4, 2)}
        if word == "exit":
            os._exit(3)
        elif word == "fork":
            # The child keeps the worker's end of the socket open.
            if os.fork() == 0:
                time.sleep(1000)
            os._exit(5)
        elif word == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif word == "segfault":
            ctypes.string_at(0)
        elif word == "hang":
            time.sleep(1000)
        elif word == "spin":
            while True:
                pass
        elif word == "print":
            print("to standard output")
            print("to standard error", file=sys.stderr)
            os.system("echo from a shell")
        elif word == "leave":
            sys.exit("good-bye")
        elif word == "corrupt":
            raise ValueError("line 3 is no number")
        elif word == "missing":
            (Path("/nowhere") / "file").read_bytes()
        elif word == "unsupported":
            raise Unsupported("version 9 of the format is not read")
        elif word == "type":
            return len(5)
        elif word == "index":
            return [][1]
        elif word == "skip":
            raise Skip("flat")
        elif word == "shape":
            sample["tokens"] = np.zeros((2, 4))
        elif word == "complex":
            sample["tokens"] = np.zeros((4, 2), complex)
        elif word == "mask":
            sample["mask"] = np.array([0, 2, 0, 1])
        elif word == "nothing":
            return None
        elif word == "unknown":
            sample["token"] = 1
        elif word == "memory":
            np.zeros(1 << 60)
        elif word == "globals":
            sample["tokens"] = np.array([[random.random(), np.random.rand()]] * 4)
        elif word == "input":
            sample["tokens"] = np.full((4, 2), len(sys.stdin.read()))
        elif word == "surrogate":
            raise ValueError("name \udcff")
        elif word == "process":
            sample["tokens"] = np.full((4, 2), os.getpid())
            time.sleep(0.2)
        return sample

    @staticmethod
    def synthesise(folder, n_samples, seed):
        raise NotImplementedError("commands are written by the tests")
