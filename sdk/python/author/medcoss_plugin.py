"""What a modality in Python is written with: a base class, options, shapes, masks. Needs NumPy and nothing else.

A module has one class, a subclass of `Modality` or `Files`. An object of the class is an open dataset. `medcoss plugin pack`
makes a plugin of it; the guide of the SDK describes the duties of a plugin. This file is part of medcoss: change the module beside
it, not this file.
"""

import dataclasses
import hashlib
import os
import random
import shutil
import struct
import sys
import types
import typing
import zlib
from pathlib import Path

import numpy as np

#: Label of a position that is not a target of masked language modelling.
NOT_A_TARGET = -100

# Error codes of the contract.
BAD_REQUEST, UNREADABLE, CORRUPT, UNSUPPORTED, UNKNOWN_OPERATION, SKIPPED, STOPPED, PANIC = 1, 2, 3, 4, 5, 6, 7, 100

#: Exceptions that are a fault of the code. Any other exception of `load` is a fault of the sample's file.
FAULTS = (
    TypeError, LookupError, AssertionError, NameError, AttributeError, ImportError, SyntaxError, NotImplementedError,
    RecursionError, ZeroDivisionError, StopIteration, SystemExit, KeyboardInterrupt, GeneratorExit,
)


class Skip(Exception):
    """The sample is valid, and there is nothing to learn from it (a flat signal, a tile of background).

    `sample` is what `load` would have returned. It is needed in the evaluation view, whose features are computed nevertheless.
    """

    def __init__(self, reason, sample=None):
        super().__init__(reason)
        self.sample = sample


class BadOption(ValueError):
    """An option, or a combination of options, that the user can fix. The message names it."""


class Unsupported(Exception):
    """A valid file of a kind that is not read."""


class Stopped(Exception):
    """The user asked to stop; `progress` raises it."""


class Fault(Exception):
    """The module gave something other than the interface says."""


# Options


def option(default, description, *, least=None, most=None, above=None, below=None, choices=None):
    """A field of the options' dataclass: its default, a sentence for people, and the range of its values.

    `least` and `most` belong to the range; `above` and `below` do not.
    """
    about = dict(description=description, minimum=least, maximum=most, exclusiveMinimum=above, exclusiveMaximum=below)
    about["enum"] = None if choices is None else list(choices)
    about = {keyword: value for keyword, value in about.items() if value is not None}
    if isinstance(default, (list, tuple)):
        return dataclasses.field(default_factory=lambda: list(default), metadata=about)
    return dataclasses.field(default=default, metadata=about)


@dataclasses.dataclass
class NoOptions:
    """Options of a modality that has none."""


_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}


def _type_schema(kind):
    """JSON Schema of a type: bool, int, float, str, lists of them, and each of them or None."""
    if kind in _TYPES:
        return {"type": _TYPES[kind]}
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (list, tuple) and inner:
        return {"type": "array", "items": _type_schema(inner[0])}
    if origin in (typing.Union, getattr(types, "UnionType", None)) and len(inner) == 2 and type(None) in inner:
        one = _type_schema(inner[0] if inner[1] is type(None) else inner[1])
        return {**one, "type": [one["type"], "null"]}
    raise Fault(f"options have a field of type {kind!r}; bool, int, float, str, lists of them, or one of them or None were expected")


def options_schema(modality):
    """JSON Schema of the options of a modality."""
    hints = typing.get_type_hints(modality.Options)
    properties = {}
    for field in dataclasses.fields(modality.Options):
        if not field.metadata.get("description"):
            raise Fault(f"option {field.name} has no description; write `{field.name}: ... = option(default, \"description\")`")
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        about = {**field.metadata}
        property = _type_schema(hints[field.name])
        if "items" in property:
            # The range is that of the items.
            property["items"].update((key, about.pop(key)) for key in set(about) - {"description"})
        properties[field.name] = {**property, **about, "default": default}
    schema = {"type": "object", "additionalProperties": False, "properties": properties}
    schema["x-option-order"] = list(properties)
    if modality.renamed_options:
        schema["x-renamed-options"] = dict(modality.renamed_options)
    if modality.option_presets:
        schema["x-option-presets"] = dict(modality.option_presets)
    return schema


def _range_in_words(schema):
    if "enum" in schema:
        return "one of " + ", ".join(map(repr, schema["enum"]))
    ends = [(word, schema.get(key)) for word, key in (
        ("at least", "minimum"), ("above", "exclusiveMinimum"), ("at most", "maximum"), ("below", "exclusiveMaximum"))]
    if schema["type"] == "array":
        return f"a list, each item {_range_in_words(schema['items'])}"
    kind = schema["type"] if isinstance(schema["type"], str) else " or ".join(schema["type"])
    return f"{kind} " + " and ".join(f"{word} {end}" for word, end in ends if end is not None)


def _fitting(value, schema):
    """The value as the schema's type; raises ValueError where it does not fit."""
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if value is None and "null" in kinds:
        return None
    kind, is_number = kinds[0], isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == "array":
        if not isinstance(value, (list, tuple)):
            raise ValueError
        return [_fitting(item, schema["items"]) for item in value]
    if kind == "integer" and is_number and float(value).is_integer():
        value = int(value)
    elif kind == "number" and is_number:
        value = float(value)
    elif not (isinstance(value, bool) if kind == "boolean" else isinstance(value, str) and kind == "string"):
        raise ValueError
    inside = (
        ("enum" not in schema or value in schema["enum"])
        and not ("minimum" in schema and not value >= schema["minimum"])
        and not ("maximum" in schema and not value <= schema["maximum"])
        and not ("exclusiveMinimum" in schema and not value > schema["exclusiveMinimum"])
        and not ("exclusiveMaximum" in schema and not value < schema["exclusiveMaximum"])
    )
    if not inside:
        raise ValueError
    return value


def read_options(modality, given):
    """The options of a request, None for the defaults. Raises BadOption, by the option's name."""
    if given is None:
        given = {}
    if not isinstance(given, dict):
        raise BadOption(f"the options are {given!r}; a table was expected")
    properties = options_schema(modality)["properties"]
    values = {}
    for name, value in given.items():
        if name in modality.renamed_options:
            present = modality.renamed_options[name]
            raise BadOption(f"option {name} is now called {present}\nhint: rename {name} to {present}")
        if name not in properties:
            raise BadOption(f"unknown option {name!r}; known are {', '.join(properties) or 'none'}")
        try:
            values[name] = _fitting(value, properties[name])
        except ValueError:
            raise BadOption(f"{name} is {value!r}; it must be {_range_in_words(properties[name])}".rstrip()) from None
    return modality.Options(**values)


# Shapes


def grid(sides, d_token, n_masked, *, patch=(), axes=(), validity=False, d_target=None, normalise=True, coordinates=(),
         affines=False, pretext=(), requires=()):
    """Samples that are a grid of patches: `sides` patches along each axis, slowest first; `d_token` numbers in a patch; `n_masked`
    patches are masked in training, the same number in every sample.

    The rest is optional and described in the guide: `patch` (values of a patch along each axis), `axes` (see `axis`), `validity`
    (`load` gives `valid`), `d_target` (`load` gives `targets`), `coordinates` (a list of {name, unit, range}; `load` gives
    `coordinates`), `affines` (`load` gives `affine`), `pretext` (a list of {name, settings}).
    """
    shape = dict(kind="continuous", grid=[int(side) for side in sides], d_token=int(d_token), n_masked=int(n_masked))
    if d_target is not None or not normalise:
        shape["targets"] = dict(d_target=d_target, normalise=normalise)
    more = dict(patch=list(patch), axes=list(axes), validity=validity, coordinates=list(coordinates), affines=affines,
                pretext=list(pretext), requires=list(requires))
    return {**shape, **{name: value for name, value in more.items() if value}}


def axis(name, *, step=None, unit=None, places=()):
    """Meaning of an axis of a grid: the length of a token in a unit (`step=0.3, unit="s"`), or the name of each place."""
    about = dict(name=name, step=step, unit=unit, places=list(places))
    return {key: value for key, value in about.items() if value}


def sequence(length, vocabulary, padding_id, mask_id, *, special_ids=(), vocabulary_digest=None, pretext=(), requires=()):
    """Samples that are a sequence of at most `length` token ids, all in 0 to `vocabulary` - 1."""
    shape = dict(kind="discrete", length=int(length), vocabulary=int(vocabulary), padding_id=int(padding_id), mask_id=int(mask_id))
    more = dict(special_ids=list(special_ids), vocabulary_digest=vocabulary_digest, pretext=list(pretext), requires=list(requires))
    return {**shape, **{name: value for name, value in more.items() if value}}


# Masks and values


def n_masked(n_tokens, mask_ratio):
    """Number of tokens that a ratio masks, rounded to the nearest, at least 1 and at most all but one."""
    return min(max(int(n_tokens * mask_ratio + 0.5), 1), n_tokens - 1)


def random_mask(rng, n_tokens, n_masked, valid=None):
    """A mask [n_tokens] of uint8, 1 = masked, of `n_masked` tokens drawn at random.

    With `valid` at least one token that exists is masked and one is visible; raises Skip where that is impossible.
    """
    mask = np.zeros(n_tokens, np.uint8)
    order = rng.permutation(n_tokens)
    if valid is not None:
        valid = np.asarray(valid).astype(bool)
        exist = order[valid[order]]
        if len(exist) < 2:
            raise Skip(f"{len(exist)} tokens exist; at least 2 were expected")
        # One that exists comes first, so it is masked; another comes last, so it is visible.
        order = np.concatenate([exist[:1], order[(order != exist[0]) & (order != exist[1])], exist[1:2]])
    mask[order[:n_masked]] = 1
    return mask


def standardise(values):
    """The values with mean 0 and deviation 1, as float32; a constant becomes zeros."""
    values = np.asarray(values, np.float32)
    centred = values - values.mean(dtype=np.float64).astype(np.float32)
    deviation = float(np.sqrt(np.mean(np.square(centred, dtype=np.float64))))
    return centred / np.float32(deviation) if deviation > 0 else np.zeros_like(centred)


def png(image):
    """The bytes of a PNG file of an image [rows, columns] or [rows, columns, 3] of uint8."""
    image = np.ascontiguousarray(image, np.uint8)
    rows, columns = image.shape[:2]
    lines = np.zeros((rows, 1 + image[0].size), np.uint8)
    lines[:, 1:] = image.reshape(rows, -1)

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", columns, rows, 8, 0 if image.ndim == 2 else 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines.tobytes())) + chunk(b"IEND", b"")


# Files


class FoundFile(typing.NamedTuple):
    """A file of the data."""

    #: Path of the file.
    path: Path
    #: Entry of the data and path below it, with `/`.
    id: str
    #: Index of the entry of the data.
    entry: int
    #: Size.
    n_bytes: int

    def record(self, **more):
        """The record of a sample that is this file; `more` are further fields: group, label, weight, pair, metadata."""
        return {"id": self.id, "entry": self.entry, **more}

    def record_of_part(self, suffix, **more):
        """The record of one of several samples of this file."""
        return {"id": f"{self.id}#{suffix}", "file": self.id, "entry": self.entry, **more}


def _printable(text):
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def find_files(base, data, suffixes):
    """Files of the entries `data` below `base` whose lower-case names end in one of the suffixes, in the order of their ids.

    An entry that is a file is taken whatever its name. Hidden files are passed over. Raises an OSError for an entry that is missing
    and for data without a file.
    """
    suffixes = (suffixes,) if isinstance(suffixes, str) else tuple(suffixes)
    found = []
    for entry, name in enumerate(map(Path, data)):
        root = Path(base) / name
        parts = [part for part in name.parts if part not in (".", os.sep)]
        start = "/".join(parts) if not name.is_absolute() and ".." not in parts else name.name
        if not root.exists():
            raise FileNotFoundError(f"data {name} not found (looked for {root})")
        paths = [root]
        if root.is_dir():
            paths, seen = [], set()
            for folder, folders, names in os.walk(root, followlinks=True):
                real = os.path.realpath(folder)
                folders[:] = [] if real in seen else sorted(below for below in folders if not below.startswith("."))
                names = [] if real in seen else names
                seen.add(real)
                paths += [Path(folder, one) for one in names if one.lower().endswith(suffixes) and not one.startswith(".")]
        for path in paths:
            below = path.relative_to(root).as_posix()
            id = "/".join(part for part in (start, "" if below == "." else below) if part)
            # A link that leads nowhere stands for a sample that cannot be read.
            found.append(FoundFile(path, _printable(id), entry, path.stat().st_size if path.exists() else 0))
    if not found:
        raise FileNotFoundError(f"no file {' or '.join(suffixes)} in {', '.join(map(str, data))} (looked in {base})")
    found.sort(key=lambda file: file.id)
    for one, other in zip(found, found[1:]):
        if one.id == other.id:
            raise ValueError(f"{one.path} and {other.path} give the same sample id {one.id}")
    return found


def fingerprint(files):
    """Digest of files: ids, sizes, and 4096 bytes of both ends of each."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.id}\0{file.n_bytes}\0".encode("utf-8", "replace"))
        try:
            with open(file.path, "rb") as content:
                digest.update(content.read(4096))
                content.seek(max(file.n_bytes - 4096, 0))
                digest.update(content.read(4096))
        except OSError:
            digest.update(b"unreadable")
    return digest.hexdigest()


# Modalities


class Modality:
    """A modality. A subclass sets the attributes and writes the methods; an object of it is an open dataset."""

    #: Lower-case word of letters, digits and `_`; the modality's name in configurations.
    id = ""
    #: Semantic version. Raise it when samples change.
    version = "0.1.0"
    #: One line for people.
    summary = ""
    #: Token family: modalities of one family share a part of the model.
    family = ""
    #: Kinds of files, for people.
    reads = ()
    #: A dataclass whose fields are made by `option`.
    Options = NoOptions
    #: "png", "text", or None without `render`.
    renders = None
    #: Ends of the names of mask files, in lower case: (".png",); none without `label_map`.
    mask_suffixes = ()
    #: Former names of options, each with the present one.
    renamed_options = {}
    #: Names of presets, each with a table of options.
    option_presets = {}
    #: Seconds after which a call (one sample, one `open` without progress) is given up and its worker is killed.
    time_limit_s = 300

    # Of an open dataset: the folder of the data, its entries, the options, a folder of assets or None.
    base, data, options, assets = Path(), (), None, None
    # The shape of its samples, which does not change.
    opened_geometry, opened_shapes = None, None

    @staticmethod
    def geometry(options):
        """Shape of the samples, by `grid` or `sequence`. Raises BadOption for options that do not fit each other."""
        raise NotImplementedError("geometry")

    def open(self):
        """Lists the samples of `self.data` below `self.base`. Reads no more than it must."""
        raise NotImplementedError("open")

    def data_geometry(self):
        """Shape of the samples of this dataset, where it depends on the data (a vocabulary)."""
        return type(self).geometry(self.options)

    def __len__(self):
        raise NotImplementedError("__len__")

    def record(self, index):
        """What is known of a sample before it is read: its id, or a dict of id, file, entry, group, label, weight, pair, metadata."""
        raise NotImplementedError("record")

    def fingerprint(self):
        """Hexadecimal digest that changes when the data do."""
        raise NotImplementedError("fingerprint")

    def load(self, index, training, rng):
        """One sample as a dict of arrays. Everything random is drawn from `rng`, a numpy.random.Generator.

        Of a grid: `tokens` [n_tokens, d_token]; in training `mask` [n_tokens], 1 = masked; and `valid` [n_tokens], `targets`
        [n_tokens, d_target], `coordinates` [n_tokens, n_coordinates], `affine` [n_axes, n_axes + 1] where the geometry declares
        them. Of a sequence: `ids` [n], n at most the length; in training `labels` [n], the ids to predict and NOT_A_TARGET elsewhere.
        The evaluation view (`training` is False) is neither augmented nor masked.
        """
        raise NotImplementedError("load")

    @staticmethod
    def synthesise(folder, n_samples, seed):
        """Writes at least `n_samples` small sample files into an empty folder. Returns (data, options) to open them with."""
        raise NotImplementedError("synthesise")

    def render(self, tokens, hidden):
        """Tokens [n_tokens, d_token] (or ids [length]) as the bytes of a PNG file or as text. What is masked or does not exist is 0 in
        `tokens` and True in `hidden` [n_tokens]."""
        raise NotImplementedError("render")

    def label_map(self, index, mask):
        """Labels of a sample from its mask file (a FoundFile): whole numbers, 0 = background, in exactly the pixels or voxels of the
        evaluation view, the nearest label for each; or a pair of them and the distances of neighbours in mm along each axis."""
        raise NotImplementedError("label_map")

    #: A function (indices, folder) that writes samples, as they are before augmentation, and returns (data, options) to open them
    #: with in the same order; None where samples cannot be written. A run can then store its rehearsal buffer.
    save_samples = None

    def save_assets(self, folder):
        """Writes what was learned from the data (a vocabulary); returns names of files. `open` finds them in `self.assets`."""
        return []

    def progress(self, done, total, what):
        """Reports how far a long `open` is; elsewhere it does nothing. Raises Stopped when the user asks to stop."""

    # For callers: the bridge, tests, other programs.

    @classmethod
    def opened(cls, base, data, options=None, assets=None, progress=None):
        """An open dataset."""
        dataset = cls()
        dataset.base, dataset.data = Path(base), [Path(entry) for entry in data]
        dataset.options, dataset.assets = read_options(cls, options), None if assets is None else Path(assets)
        if progress is not None:
            dataset.progress = progress
        cls.geometry(dataset.options)
        dataset.open()
        # Reports are answered while data are opened, and at no other time.
        vars(dataset).pop("progress", None)
        dataset.opened_geometry = dataset.data_geometry()
        dataset.opened_shapes = expected_shapes(dataset.opened_geometry)
        return dataset

    def sample(self, index, training, seed):
        """A sample as its seed makes it: arrays whose shapes are checked. Raises what `load` raises, and Fault."""
        seed = seed if training else 0
        _seed_global_generators(seed)
        return self.checked(training, self.load(index, training, np.random.Generator(np.random.Philox(key=seed))))

    def checked(self, training, sample):
        """The arrays of a sample, after their names and shapes were compared with the geometry. Values are the host's to check."""
        if not isinstance(sample, dict):
            raise Fault(f"load returned {type(sample).__name__}; a dict of arrays was expected")
        shapes, arrays = self.opened_shapes, {}
        for name in sample:
            if name not in shapes:
                raise Fault(f"load returned {name!r}; the geometry has {', '.join(shapes)}")
        for name, allowed in shapes.items():
            if name in ("mask", "labels") and not training:
                continue
            if sample.get(name) is None:
                if name == "length":
                    continue
                raise Fault(f"load returned no {name!r}")
            arrays[name] = array = np.asarray(sample[name])
            if self.opened_geometry["kind"] == "discrete":
                most = self.opened_geometry["length"]
                if array.ndim != (0 if name == "length" else 1) or array.size > most:
                    raise Fault(f"{name} has the shape {list(array.shape)}; at most {most} ids were expected")
            elif array.shape not in allowed:
                expected = " or ".join(str(list(one)) for one in dict.fromkeys(allowed))
                raise Fault(f"{name} has the shape {list(array.shape)}; {expected} was expected")
        return arrays


class Files(Modality):
    """A modality with one sample in each file. The subclass sets `suffixes` and reads `self.files[index].path` in `load`."""

    #: Ends of the names of files, in lower case: (".csv",).
    suffixes = ()

    def open(self):
        self.files = find_files(self.base, self.data, self.suffixes)

    def __len__(self):
        return len(self.files)

    def record(self, index):
        return self.files[index].record()

    def fingerprint(self):
        return fingerprint(self.files)

    def save_samples(self, indices, folder):
        target = Path(folder) / "samples"
        target.mkdir()
        for place, index in enumerate(indices):
            path = self.files[index].path
            shutil.copyfile(path, target / f"{place:06}{''.join(path.suffixes[-2:])}")
        return ["samples"], dataclasses.asdict(self.options)


def _seed_global_generators(seed):
    """Libraries draw from these. A module's own code draws from the generator that it is given."""
    random.seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed & 0x7FFFFFFFFFFFFFFF)


def expected_shapes(geometry):
    """Names of a sample's arrays, each with the shapes that are accepted."""
    if geometry["kind"] == "discrete":
        return {"ids": (), "labels": (), "length": ()}
    sides, n_axes = tuple(geometry["grid"]), len(geometry["grid"])
    n_tokens = int(np.prod(sides))

    def of_tokens(*inner):
        return (n_tokens, *inner), (*sides, *inner)

    shapes = {"tokens": of_tokens(geometry["d_token"]), "mask": of_tokens()}
    if geometry.get("validity"):
        shapes["valid"] = of_tokens()
    if geometry.get("targets", {}).get("d_target"):
        shapes["targets"] = of_tokens(geometry["targets"]["d_target"])
    if geometry.get("coordinates"):
        shapes["coordinates"] = of_tokens(len(geometry["coordinates"]))
    if geometry.get("affines"):
        shapes["affine"] = ((n_axes, n_axes + 1),)
    return shapes
