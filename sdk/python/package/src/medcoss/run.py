"""What the folder of a run holds, read only: stages, their states and metrics, evaluations, the models' weights."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from medcoss.confined import Folder
from medcoss.documents import Document, field, read_document, read_lines, read_record
from medcoss.errors import DamagedFileError, RunError
from medcoss.model_config import ModelConfig

if TYPE_CHECKING:
    import numpy as np

_MODALITY = re.compile(r"[a-z][a-z0-9_]{0,63}")


class Run:
    """A run, as ``medcoss pretrain --out`` wrote it. Nothing in the folder is changed.

    >>> run = medcoss.Run("runs/first")
    >>> [(stage.modality, stage.metrics.pretext[stage.modality][-1]) for stage in run.stages]

    ``with medcoss.Run(path) as run`` closes the folder at the end.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._folder = Folder(path)
        if not self._folder.is_file("run.toml"):
            self._folder.close()
            raise RunError(f"{path} holds no run\nhint: name the folder of a run, as `medcoss pretrain --out` wrote it")
        self.settings: Document = read_record(self._folder, "run.toml")
        """Configuration of the run, with every default."""
        stages = self.settings.get("stage", [])
        where = self._folder.name_of("run.toml")
        if not isinstance(stages, list) or not all(isinstance(stage, dict) for stage in stages):
            raise DamagedFileError(f"{where} is damaged: stage is no list of tables")
        modalities = [field(stage, "modality", str, where) for stage in stages]
        self.stages: list[Stage] = [Stage(self._folder, at, name) for at, name in enumerate(modalities, 1)]
        """Stages in their order, finished or not."""

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        modalities = ", ".join(stage.modality for stage in self.stages)
        return f"Run({str(self._folder.path)!r}, stages: {modalities})"

    def close(self) -> None:
        """Closes the folder; what was not read by then cannot be read afterwards."""
        self._folder.close()

    @property
    def seed(self) -> int:
        """Seed of all random draws."""
        seed = self.settings.get("seed", 0)
        return int(seed)

    @cached_property
    def initial(self) -> "InitialModel | None":
        """The imported model that the run began with; none for a run that began with fresh parameters."""
        return InitialModel(self._folder) if self._folder.is_folder("initial") else None

    def evaluations(self) -> list[str]:
        """Names of the evaluations, as ``medcoss eval`` wrote them."""
        return [
            name
            for name in self._folder.entries("evaluation")
            if self._folder.is_file("evaluation", name, "scores.json")
        ]

    def evaluation(self, name: str) -> "Evaluation":
        """The scores of an evaluation."""
        if name not in self.evaluations():
            known = ", ".join(self.evaluations()) or "none"
            raise RunError(f"{self._folder.path} has no evaluation {name}\nhint: it has {known}")
        return Evaluation(read_document(self._folder, "evaluation", name, "scores.json"))

    def model(self, stage: int | None = None) -> "Stage | InitialModel":
        """The stage whose model is meant: by its number from 1, 0 for the initial model, none for the latest."""
        finished = [candidate for candidate in self.stages if candidate.is_finished]
        number = len(finished) if stage is None else stage
        if number == 0 and self.initial is not None:
            return self.initial
        if 1 <= number <= len(finished):
            return finished[number - 1]
        raise RunError(
            f"{self._folder.path} has no finished stage {number}; {len(finished)} of {len(self.stages)} are finished"
        )

    def family_of(self, name: str) -> str:
        """The token family of a modality of this run; a name that is no modality is taken as that of a family."""
        families = {stage.modality: stage.family for stage in self.stages if stage.is_finished}
        return families.get(name, name)


class _StoredModel:
    """Parameters in a file ``model.bpk``."""

    _folder: Folder
    _names: tuple[str, ...]

    def weights(self, names: Iterable[str] | None = None) -> "dict[str, np.ndarray]":
        """Parameters by their paths, such as ``encoder.blocks.0.attention.qkv.weight``: float32 arrays, linear layers
        as ``[input, output]``. ``names`` selects some. The file is compared with its checksum first."""
        from medcoss.burnpack import read_tensors

        with self._folder.opened(*self._names, "model.bpk") as file:
            file.check_sha256(self._recorded_sha256())
            return read_tensors(file, names)

    def _recorded_sha256(self) -> str:
        raise NotImplementedError


class Stage(_StoredModel):
    """A stage of a run."""

    def __init__(self, folder: Folder, number: int, modality: str) -> None:
        if not _MODALITY.fullmatch(modality):
            raise DamagedFileError(
                f"{folder.name_of('run.toml')} is damaged: stage {number} has the modality {modality!r:.80}"
            )
        self.number = number
        """Position in the run, from 1."""
        self.modality = modality
        """Id of the modality's plugin."""
        self._folder = folder
        self._names = ("stages", f"{number:02}-{modality}")

    def __repr__(self) -> str:
        return f"Stage({self.number}, {self.modality!r})"

    @cached_property
    def is_finished(self) -> bool:
        """Whether the stage has finished."""
        return self._folder.is_file(*self._names, "state.json")

    @cached_property
    def state(self) -> Document:
        """The document ``state.json`` of the finished stage."""
        where = self._folder.name_of(*self._names)
        if not self.is_finished:
            raise RunError(f"{where} has not finished\nhint: finish it with: medcoss resume {self._folder.path}")
        state = read_document(self._folder, *self._names, "state.json")
        found = (state.get("stage"), state.get("modality"))
        if found != (self.number, self.modality):
            raise DamagedFileError(f"{where} is damaged: it holds the state of {found}")
        return state

    @property
    def family(self) -> str:
        """Token family of the modality."""
        return str(field(self.state, "family", str, self._folder.name_of(*self._names)))

    @property
    def n_samples(self) -> int:
        """Number of samples of the modality."""
        return int(field(self.state, "n_samples", int, self._folder.name_of(*self._names)))

    @cached_property
    def model(self) -> ModelConfig:
        """Sizes and token families of the model after this stage."""
        return ModelConfig.parse(self.state.get("model"), self._folder.name_of(*self._names, "state.json"))

    @cached_property
    def metrics(self) -> "Metrics":
        """Losses and learning rate by epoch, also of a stage that still runs."""
        return Metrics.of_epochs(
            read_lines(self._folder, *self._names, "metrics.jsonl"), self._folder.name_of(*self._names)
        )

    def _recorded_sha256(self) -> str:
        where = self._folder.name_of(*self._names, "state.json")
        return str(field(field(self.state, "checksums", dict, where), "model.bpk", str, where))


class InitialModel(_StoredModel):
    """The imported model that a run began with."""

    number = 0

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._names = ("initial",)
        self.description: Document = read_document(folder, "initial", "initial.json")
        """The document ``initial.json``: source file, its SHA-256, report of the import."""
        self.model: ModelConfig = ModelConfig.parse(
            self.description.get("model"), folder.name_of("initial", "initial.json")
        )
        """Sizes and token families of the model."""

    def _recorded_sha256(self) -> str:
        where = self._folder.name_of("initial", "manifest.json")
        manifest = read_document(self._folder, "initial", "manifest.json")
        return str(field(field(manifest, "files", dict, where), "model.bpk", str, where))


@dataclass(frozen=True, eq=False)
class Metrics:
    """Metrics of a stage; each array has one value an epoch."""

    epoch: "np.ndarray"
    """Number of the epoch, from 1; int64."""
    step: "np.ndarray"
    """Number of batches so far in the stage; int64."""
    learning_rate: "np.ndarray"
    """Learning rate of the epoch's last update; float64."""
    pretext: "dict[str, np.ndarray]"
    """Mean pretext loss by modality; float64, NaN in epochs without one."""
    distillation: "dict[str, np.ndarray]"
    """Mean distillation loss by modality; float64, NaN in epochs without one."""
    penalty: "np.ndarray"
    """Penalty on the parameters at the end of the epoch; float64, NaN without one."""

    @classmethod
    def of_epochs(cls, epochs: list[Document], where: str) -> "Metrics":
        """The metrics in the lines of ``metrics.jsonl``."""
        import numpy as np

        def column(values: list[Any], dtype: Any) -> "np.ndarray":
            return np.array([np.nan if value is None else value for value in values], dtype)

        def losses(name: str) -> "dict[str, np.ndarray]":
            rows = [field(epoch, name, dict, where) for epoch in epochs]
            names = dict.fromkeys(modality for row in rows for modality in row)
            return {modality: column([row.get(modality) for row in rows], np.float64) for modality in names}

        try:
            return cls(
                column([epoch["epoch"] for epoch in epochs], np.int64),
                column([epoch["step"] for epoch in epochs], np.int64),
                column([epoch["learning_rate"] for epoch in epochs], np.float64),
                losses("pretext"),
                losses("distillation"),
                column([epoch.get("penalty") for epoch in epochs], np.float64),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DamagedFileError(f"{where} is damaged: its metrics have no {error}") from error


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores of tasks after the stages of a run."""

    document: Document
    """The document ``scores.json``: tasks, evaluated stages, scores of all metrics, measures of continual learning."""

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks, in the order of the tasks file."""
        return [str(task.get("name")) for task in field(self.document, "tasks", list, "the evaluation")]

    @property
    def stages(self) -> list[int]:
        """Numbers of the evaluated stages; 0 is the initial model."""
        return [int(stage["stage"]) for stage in field(self.document, "stages", list, "the evaluation")]

    def matrix(self) -> "np.ndarray":
        """Scores of each task's primary metric, float64 ``[stages, tasks]``; NaN where one is missing."""
        import numpy as np

        primary = {str(task["name"]): task["primary_metric"] for task in self.document["tasks"]}
        rows = {stage: at for at, stage in enumerate(self.stages)}
        columns = {task: at for at, task in enumerate(self.tasks)}
        matrix = np.full((len(rows), len(columns)), np.nan)
        for score in field(self.document, "scores", list, "the evaluation"):
            if primary.get(score["task"]) == score["metric"] and score["stage"] in rows:
                matrix[rows[score["stage"]], columns[score["task"]]] = score["value"]
        return matrix
