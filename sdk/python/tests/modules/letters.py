"""Lines of text, a sample a line, a token a letter. The alphabet is learned from the data."""

import dataclasses
import hashlib
from pathlib import Path

import numpy as np

from medcoss_plugin import NOT_A_TARGET, Modality, find_files, option, sequence

PADDING, MASK, N_SPECIAL = 0, 1, 2


@dataclasses.dataclass
class Options:
    length: int = option(24, "Letters of a sample.", least=4, most=512)


class Letters(Modality):
    id = "letters"
    summary = "lines of text"
    family = "letters"
    reads = ["text (.txt)"]
    Options = Options
    renders = "text"

    @staticmethod
    def geometry(options):
        return sequence(options.length, 64, PADDING, MASK)

    def open(self):
        self.lines = []
        for file in find_files(self.base, self.data, ".txt"):
            text = file.path.read_bytes().decode("utf-8", "replace")
            self.lines += [(file, number, line) for number, line in enumerate(text.splitlines()) if line.strip()]
        if not self.lines:
            raise ValueError("no line of text")
        self.progress(len(self.lines), len(self.lines), "lines read")
        if self.assets:
            self.alphabet = (self.assets / "alphabet.txt").read_text(encoding="utf-8")
        else:
            self.alphabet = "".join(sorted({letter for _, _, line in self.lines for letter in line}))[:60]

    def data_geometry(self):
        digest = hashlib.sha256(self.alphabet.encode()).hexdigest()
        n = N_SPECIAL + max(len(self.alphabet), 2)
        return sequence(self.options.length, n, PADDING, MASK, vocabulary_digest=digest)

    def __len__(self):
        return len(self.lines)

    def record(self, index):
        file, number, _ = self.lines[index]
        return file.record_of_part(f"L{number}", pair=f"pair {index}")

    def fingerprint(self):
        digest = hashlib.sha256()
        for file, _, line in self.lines:
            digest.update(f"{file.id} {line}\n".encode())
        return digest.hexdigest()

    def load(self, index, training, rng):
        line = self.lines[index][2][: self.options.length]
        known = [self.alphabet.index(letter) + N_SPECIAL for letter in line if letter in self.alphabet]
        if not known:
            raise ValueError("no letter of the line is in the alphabet")
        ids = np.array(known)
        if not training:
            return {"ids": ids}
        hidden = rng.random(len(ids)) < 0.15
        hidden[rng.integers(len(ids))] = True
        return {"ids": np.where(hidden, MASK, ids), "labels": np.where(hidden, ids, NOT_A_TARGET), "length": len(ids)}

    @staticmethod
    def synthesise(folder, n_samples, seed):
        rng = np.random.default_rng(seed)
        lines = ["".join(rng.choice(list("abcdefgh "), 12)) + "x" for _ in range(n_samples)]
        (Path(folder) / "lines.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return ["lines.txt"], {"length": 20}

    def save_assets(self, folder):
        (folder / "alphabet.txt").write_text(self.alphabet, encoding="utf-8")
        return ["alphabet.txt"]

    def render(self, tokens, hidden):
        return "".join("_" if id == MASK else "" if id < N_SPECIAL else self.alphabet[id - N_SPECIAL] for id in tokens.tolist())
