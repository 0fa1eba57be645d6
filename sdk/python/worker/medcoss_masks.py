"""Segmentation masks: the file that belongs to a sample, by the contract's rule, and the answer of the operation `label-maps`.

A mask belongs to the file whose id ends with the mask's path below its folder, extensions and suffixes apart; of several masks that fit, the one with
the longest such path belongs.
"""

import json
import struct
from pathlib import Path, PurePosixPath

import medcoss_plugin as plugin
import numpy as np


class NoMask(Exception):
    """Why a file has no mask: a code of the contract and a message."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class MaskFiles:
    """The mask files of a request."""

    def __init__(self, body, extensions):
        self.files = plugin.find_files(body["base"], body["data"], extensions)
        self.sample_suffix = body.get("sample_suffix", "")
        suffix, self.by_key = body.get("mask_suffix", ""), {}
        for file in self.files:
            root = Path(body["base"]) / body["data"][file.entry]
            below = plugin._printable(file.path.name if file.path == root else file.path.relative_to(root).as_posix())
            fitting = [extension for extension in extensions if below.lower().endswith(extension)]
            key = below[: len(below) - max(map(len, fitting), default=0)]
            if key.endswith(suffix):
                self.by_key.setdefault(key[: len(key) - len(suffix)], []).append(file)
        if not self.by_key:
            raise plugin.BadOption(f"none of {len(self.files)} masks has a name that ends in {suffix!r}")

    def of(self, id):
        """The mask of a file, by the file's id. Raises NoMask."""
        *folders, name = id.split("/")
        stem = PurePosixPath(name[:-3] if name.lower().endswith(".gz") else name).stem
        names = [one for one in dict.fromkeys((name, stem)) if one.endswith(self.sample_suffix)]
        names = [one[: len(one) - len(self.sample_suffix)] for one in names]
        for start in range(len(folders) + 1):
            fitting = [file for one in names for file in self.by_key.get("/".join([*folders[start:], one]), ())]
            if len(fitting) > 1:
                raise NoMask(plugin.BAD_REQUEST, f"{id} has two masks, {fitting[0].id} and {fitting[1].id}\n"
                             "hint: remove one, or name fewer folders of masks")
            if fitting:
                return fitting[0]
        raise NoMask(plugin.UNREADABLE, f"{id} has no mask: none of {len(self.files)} mask files has its name\n"
                     "hint: a mask has the relative path and stem of its sample's file; set `mask_suffix` and `sample_suffix` where the "
                     "stems differ by suffixes")

    def of_all(self, ids):
        """The mask of each file, or why there is none. All are looked at, so that a mask that fits two is noticed."""
        found, owners = {}, {}
        for id in dict.fromkeys(ids):
            try:
                found[id] = self.of(id)
                owners.setdefault(found[id].id, []).append(id)
            except NoMask as reason:
                found[id] = reason
        for mask, fitting in owners.items():
            if len(fitting) > 1:
                reason = NoMask(plugin.BAD_REQUEST, f"mask {mask} fits both {fitting[0]} and {fitting[1]}\n"
                                "hint: give masks the folders of their samples, and name the folder above them")
                found.update((id, reason) for id in fitting)
        return found


def label_maps(dataset, body, files, reported):
    """The answer of `label-maps`. `files` are the files of all samples; `reported` makes code and message of an exception."""
    outside = [index for index in body["indices"] if index >= len(files)]
    if outside:
        raise plugin.BadOption(f"sample {outside[0]} does not exist; there are {len(files)}")
    masks = MaskFiles(body, [dataset.mask_suffixes] if isinstance(dataset.mask_suffixes, str) else dataset.mask_suffixes)
    masks = masks.of_all(files)
    notes, maps = [], []
    for index in body["indices"]:
        try:
            mask = masks[files[index]]
            if isinstance(mask, NoMask):
                raise mask
            labels, spacing_mm = labelled(dataset.label_map(index, mask))
            notes.append({} if spacing_mm is None else {"spacing_mm": [float(distance) for distance in spacing_mm]})
            maps.append(labels)
        except NoMask as reason:
            notes.append({"error": {"code": reason.code, "message": str(reason)}})
        except BaseException as error:
            notes.append({"error": reported(error, plugin.CORRUPT)})
    shapes = {labels.shape for labels in maps}
    if len(shapes) > 1:
        raise plugin.BadOption(f"label maps of {' and '.join(map(str, map(list, sorted(shapes))))} in one dataset")
    header = json.dumps({"shape": list(maps[0].shape) if maps else [], "samples": notes}).encode()
    return struct.pack("<Q", len(header)) + header + b"".join(labels.tobytes() for labels in maps)


def labelled(given):
    """Labels as 16-bit numbers, and the distances of their pixels in mm or None."""
    labels, spacing_mm = given if isinstance(given, tuple) else (given, None)
    labels = np.asarray(labels)
    if labels.dtype.kind not in "bui":
        raise plugin.Fault(f"label_map returned values of type {labels.dtype}; whole numbers were expected")
    if labels.size and not (0 <= labels.min() and labels.max() <= 65535):
        raise ValueError(f"labels {labels.min()} to {labels.max()}; 0 to 65535 were expected")
    return np.ascontiguousarray(labels, "<u2"), spacing_mm
