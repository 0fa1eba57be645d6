"""Exceptions. Each message names the file or value, what was found and what was expected."""


class MedcossError(Exception):
    """Any error of this package. Wrong arguments are a ``ValueError`` or a ``TypeError``, as everywhere in Python."""


class RunError(MedcossError):
    """A folder without a run, or a run without the stage, family or evaluation that was asked for."""


class DamagedFileError(MedcossError):
    """A file whose content differs from its checksum, its size or its format."""


class UnsafePathError(MedcossError):
    """A link, a special file, or a name that could lead out of the folder."""


class UnsupportedError(MedcossError):
    """A file of a later format, or a model with a part that this version does not know."""
