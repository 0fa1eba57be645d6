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


class Account:
    """What became of the files of the data: each is used, or left out for a reason. And what is not in the samples as it is in the files.

    `find_files(..., account)` counts files. A modality that leaves out more calls `leave_out`, and returns the account in `account`.
    """

    def __init__(self):
        #: Number of files that were found.
        self.n_files = 0
        #: Files that are left out, each with the reason.
        self.left_out = []
        self.notices = []

    def count_file(self):
        """Counts a file that was found. It is used until it is left out."""
        self.n_files += 1

    def leave_out(self, file, reason):
        """Leaves out a file that was counted, by its id (`FoundFile.id`). `reason` is a phrase without the file's name, the same for all files
        of one kind: "a localiser"."""
        self.left_out.append((str(file), str(reason)))

    def notice(self, n, of, what):
        """Says what is cut, filled in, converted or assumed in `n` of `of`; nothing where `n` is 0. `what` is a phrase in the plural that
        follows the number: "recordings are cut". The user is warned above one in twenty."""
        if n > 0:
            self.notices.append({"what": _printable(str(what)), "n": int(n), "of": max(int(of), int(n)), "warns": bool(n > 0.05 * of)})

    def page(self, first, count):
        """The answer for the host: the counts, the notices, and `count` of the files that are left out, from `first` on."""
        left_out = [{"file": _printable(file), "reason": _printable(reason)} for file, reason in self.left_out[first : first + count]]
        n_left_out = len(self.left_out)
        return {"n_used": max(self.n_files - n_left_out, 0), "n_left_out": n_left_out, "left_out": left_out, "notices": self.notices}


@dataclasses.dataclass
class Survey:
    """What `Modality.survey` makes of data."""

    #: How surely the data are of this modality: 0 = they are not, 1 = they say so themselves.
    fit: float
    #: Why, as a phrase: "40 of 42 files begin as a recording".
    why: str
    #: What the data are like, for people: names, each with a text: {"sampling rate": "250 Hz in 40 files"}.
    facts: dict = dataclasses.field(default_factory=dict)
    #: Options other than the defaults, each with its value and the reason: {"rate_hz": (250, "the rate of most files")}.
    options: dict = dataclasses.field(default_factory=dict)

    def answer(self, modality):
        """The survey as the contract has it. Raises Fault for one that is none."""
        if not 0 <= self.fit <= 1:
            raise Fault(f"survey gives the fit {self.fit!r}; a number from 0 to 1 was expected")
        properties, options = options_schema(modality)["properties"], []
        for name, given in self.options.items():
            if not isinstance(given, (tuple, list)) or len(given) != 2:
                raise Fault(f"survey proposes {name} = {given!r}; a pair of a value and a reason was expected")
            try:
                options.append({"name": name, "value": _fitting(given[0], properties[name]), "reason": _printable(str(given[1]))})
            except (KeyError, ValueError):
                expected = f"it must be {_range_in_words(properties[name])}" if name in properties else "there is no such option"
                raise Fault(f"survey proposes {name} = {given[0]!r}; {expected}") from None
        facts = [{"name": _printable(str(name)), "value": _printable(str(value))} for name, value in self.facts.items()]
        return {"fit": float(self.fit), "why": _printable(str(self.why)), "facts": facts, "options": options}


#: Files that the folder of a run holds.
_MARKS_OF_A_RUN = ("run.toml", "plugins.lock")
_HIDDEN, _A_RUN = "hidden (the name begins with a dot)", "a run folder of medcoss"
_LISTED_BEFORE, _BROKEN_LINK = "a folder that is listed elsewhere, by a link", "a link that leads nowhere"


def _kind(name):
    """Why a file of another kind is left out: its extension."""
    ends = Path(name.lower()).suffixes
    compressed = len(ends) > 1 and ends[-1] in (".gz", ".bz2", ".xz", ".zst")
    return f"another kind of file ({''.join(ends[-2:] if compressed else ends[-1:]) or 'no extension'})"


def find_files(base, data, suffixes, account=None):
    """Files of the entries `data` below `base` whose lower-case names end in one of the suffixes, in the order of their ids.

    An entry that is a file is taken whatever its name. Hidden files and folders and folders of runs are left out. `account`, an Account, then
    names all files that are left out; a folder counts as one. Raises an OSError for an entry that is missing and for data without a file.
    """
    suffixes = (suffixes,) if isinstance(suffixes, str) else tuple(suffixes)
    account, found = Account() if account is None else account, []
    for entry, name in enumerate(map(Path, data)):
        root = Path(base) / name
        parts = [part for part in name.parts if part not in (".", os.sep)]
        start = "/".join(parts) if not name.is_absolute() and ".." not in parts else name.name
        if not root.exists():
            raise FileNotFoundError(f"data {name} not found (looked for {root})")

        def id_of(path):
            below = path.relative_to(root).as_posix()
            return _printable("/".join(part for part in (start, "" if below == "." else below) if part))

        for path, reason in _listed(root, suffixes) if root.is_dir() else [(root, None)]:
            account.count_file()
            if reason is not None:
                account.leave_out(id_of(path), reason)
                continue
            # A link that leads nowhere stands for a sample that cannot be read.
            found.append(FoundFile(path, id_of(path), entry, path.stat().st_size if path.exists() else 0))
    if not found:
        raise FileNotFoundError(f"no file {' or '.join(suffixes)} in {', '.join(map(str, data))} (looked in {base})")
    found.sort(key=lambda file: file.id)
    for one, other in zip(found, found[1:]):
        if one.id == other.id:
            raise ValueError(f"{one.path} and {other.path} give the same sample id {one.id}")
    return found


def _listed(root, suffixes):
    """Files below a folder, and folders that are left out as a whole, each with the reason why it is left out or None."""
    seen = {os.path.realpath(root)}
    for folder, folders, names in os.walk(root, followlinks=True):
        below = []
        for name in sorted(folders):
            path = Path(folder, name)
            real = os.path.realpath(path)
            if name.startswith("."):
                yield path, _HIDDEN
            elif all((path / mark).is_file() for mark in _MARKS_OF_A_RUN):
                yield path, _A_RUN
            elif real in seen:
                yield path, _LISTED_BEFORE
            else:
                seen.add(real)
                below.append(name)
        folders[:] = below
        for name in sorted(names):
            path = Path(folder, name)
            if name.startswith("."):
                yield path, _HIDDEN
            elif name.lower().endswith(suffixes):
                yield path, None
            else:
                yield path, _kind(name) if path.exists() else _BROKEN_LINK


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

    @staticmethod
    def survey(base, data):
        """Whether the entries `data` below `base`, of which nobody has said what they are, are of this modality, what they are like, and which
        options suit them: a Survey, or None where that is not known. `medcoss init` asks it. Looks at names and headers, not at every file.
        A static method or a class method."""
        return None

    def account(self):
        """The Account of the data's files, or None where it is not known."""
        return None

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
    """A modality with one sample in each file. The subclass sets `suffixes` and reads `self.files[index].path` in `load`. One that leaves out
    files of `self.files` in its `open` says so with `self.files_account.leave_out(file.id, reason)`."""

    #: Ends of the names of files, in lower case: (".csv",).
    suffixes = ()

    def open(self):
        self.files_account = Account()
        self.files = find_files(self.base, self.data, self.suffixes, self.files_account)

    def account(self):
        return self.files_account

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
