"""Reading below a folder that may come from a stranger.

The folder is opened once, and every entry is reached from its descriptor, one component at a time. Names are plain,
links and special files are refused, and a size is compared with a limit before memory is claimed.
"""

import hashlib
import os
import stat
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medcoss.errors import DamagedFileError, RunError, UnsafePathError

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# Without O_NONBLOCK opening a pipe would wait for a writer.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_BLOCK = 1 << 20


class Folder:
    """A folder, opened once. A link to the folder itself is followed: it is the user's choice."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            self._descriptor = os.open(self.path, _FOLDER)
        except OSError as error:
            raise RunError(f"cannot open the folder {self.path}: {error.strerror}") from error
        self._close = weakref.finalize(self, os.close, self._descriptor)

    def close(self) -> None:
        """Closes the folder. A second call does nothing."""
        self._close()

    def name_of(self, *names: str) -> str:
        """The path of an entry, for messages."""
        return str(self.path.joinpath(*names))

    def is_file(self, *names: str) -> bool:
        """Whether the entry is a file. A link, here or on the way, is refused."""
        return self._kind(*names) == stat.S_IFREG

    def is_folder(self, *names: str) -> bool:
        """Whether the entry is a folder. A link, here or on the way, is refused."""
        return self._kind(*names) == stat.S_IFDIR

    def entries(self, *names: str) -> list[str]:
        """Names of the entries of a folder, in alphabetical order; empty where the folder does not exist."""
        if not self.is_folder(*names):
            return []
        try:
            with self._entered(*names) as folder:
                return sorted(os.listdir(folder))
        except OSError as error:
            raise self._failed(error, *names) from error

    @contextmanager
    def opened(self, *names: str) -> Iterator["File"]:
        """A file, open for reading."""
        descriptor = self._open(*names)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise UnsafePathError(f"{self.name_of(*names)} is no regular file")
            yield File(self.name_of(*names), descriptor, status.st_size)
        finally:
            os.close(descriptor)

    def read(self, *names: str, limit: int) -> bytes:
        """The bytes of a file of at most ``limit`` bytes."""
        with self.opened(*names) as file:
            if file.n_bytes > limit:
                raise DamagedFileError(f"{file.name} has {file.n_bytes} bytes, expected at most {limit}")
            return file.read_at(0, file.n_bytes)

    def _open(self, *names: str) -> int:
        try:
            with self._entered(*names[:-1]) as folder:
                return os.open(_plain(names[-1]), _FILE, dir_fd=folder)
        except OSError as error:
            raise self._failed(error, *names) from error

    def _kind(self, *names: str) -> int | None:
        """Kind of the entry; none where nothing is there."""
        try:
            with self._entered(*names[:-1]) as folder:
                mode = os.stat(_plain(names[-1]), dir_fd=folder, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failed(error, *names) from error
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise UnsafePathError(f"{self.name_of(*names)} is a link or a special file, expected a file or a folder")
        return stat.S_IFMT(mode)

    @contextmanager
    def _entered(self, *names: str) -> Iterator[int]:
        """Descriptor of a folder below this one."""
        if not self._close.alive:
            raise ValueError(f"{self.path} was closed")
        folder = os.dup(self._descriptor)
        try:
            for name in names:
                inner = os.open(_plain(name), _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
                os.close(folder)
                folder = inner
            yield folder
        finally:
            os.close(folder)

    def _failed(self, error: OSError, *names: str) -> Exception:
        name = self.name_of(*names)
        if isinstance(error, FileNotFoundError):
            return DamagedFileError(f"{name} is missing")
        below = (os.path.join(self.path, *names[: at + 1]) for at in range(len(names)))
        link = next((path for path in below if os.path.islink(path)), None)
        if link is not None:
            return UnsafePathError(f"{link} is a link, expected a file or a folder")
        return DamagedFileError(f"cannot read {name}: {error.strerror}")


class File:
    """An open regular file."""

    def __init__(self, name: str, descriptor: int, n_bytes: int) -> None:
        self.name = name
        self.n_bytes = n_bytes
        self._descriptor = descriptor

    def read_at(self, start: int, n: int) -> bytes:
        """``n`` bytes from ``start``; fewer are an error, and more than the file has are never claimed."""
        if start + n > self.n_bytes:
            raise DamagedFileError(f"{self.name} has {self.n_bytes} bytes, expected {start + n} or more")
        parts, left = [], n
        while left:
            part = os.pread(self._descriptor, min(left, _BLOCK), start + n - left)
            if not part:
                raise DamagedFileError(f"{self.name} became shorter while it was read")
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def sha256(self) -> str:
        """SHA-256 of the file, in hexadecimal."""
        digest = hashlib.sha256()
        for start in range(0, self.n_bytes, _BLOCK):
            digest.update(self.read_at(start, min(_BLOCK, self.n_bytes - start)))
        return digest.hexdigest()

    def check_sha256(self, expected: str) -> None:
        """Compares the file with its recorded checksum."""
        found = self.sha256()
        if found != expected:
            raise DamagedFileError(f"{self.name} is damaged: its SHA-256 is {found}, recorded is {expected}")


def _plain(name: str) -> str:
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise UnsafePathError(f"{name!r} is no name of a file or a folder")
    return name
