"""The worker's loop: requests of the bridge, answered by the author's class. One request at a time.

A request and an answer are a header in JSON, with bytes behind it where the operation has some. Arrays travel through memory that both
sides share. `fill` is answered by messages about one or several samples; the sample that is being loaded stands in the shared memory, so that the
bridge knows which one a worker died of.
"""

import fcntl
import importlib
import importlib.abc
import importlib.util
import inspect
import json
import mmap
import os
import signal
import struct
import sys
import time
from pathlib import Path

import medcoss_masks
import medcoss_plugin as plugin
import numpy as np

#: Seconds between two reports of progress.
PROGRESS_INTERVAL = 0.1
#: Seconds after which samples that are done are reported, however few they are.
REPORT_INTERVAL = 0.002
#: Letters of an error's message.
LONGEST_MESSAGE = 2000


class Sources(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports modules from texts, by their path below the author's folder."""

    def __init__(self, texts):
        self.texts = texts

    def find_spec(self, name, path=None, target=None):
        below = name.replace(".", "/")
        for place, is_package in ((below + "/__init__.py", True), (below + ".py", False)):
            if place in self.texts:
                return importlib.util.spec_from_loader(name, self, origin=place, is_package=is_package)
        return None

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        place = module.__spec__.origin
        exec(compile(self.texts[place], place, "exec"), module.__dict__)

    def get_source(self, name):
        return self.texts[self.find_spec(name).origin]


class Worker:
    """The author's class, its open datasets, and the memory that is shared with the bridge."""

    def __init__(self, start, descriptor, read, write):
        self.read, self.write = read, write
        self.start, self.descriptor = start, descriptor
        self.memory, self.datasets = None, {}
        self.is_own, self.short = (lambda path: False), str

    def import_module(self):
        """Imports the module and finds its class."""
        if self.start["folder"] is None:
            self.is_own = self.start["sources"].__contains__
            self.short = str
            sys.meta_path.insert(0, Sources(self.start["sources"]))
        else:
            folder = self.start["folder"]
            self.is_own = lambda path: path.startswith(folder + os.sep)
            self.short = lambda path: os.path.relpath(path, folder)
            sys.path.insert(0, folder)
        name = self.start["module"]
        module = importlib.import_module(name)
        found = [
            one for _, one in inspect.getmembers(module, inspect.isclass)
            if issubclass(one, plugin.Modality) and one.__module__ == name and not one.__name__.startswith("_")
        ]
        if len(found) != 1:
            names = ", ".join(one.__name__ for one in found) or "none"
            raise plugin.Fault(f"{name}.py has {len(found)} subclasses of Modality ({names}); one was expected")
        self.modality = found[0]

    def description(self):
        modality = self.modality
        operations = ["synthesise", "survey", "info", "records", "account", "save-assets"]
        operations += ["render"] if modality.renders else []
        operations += ["keep"] if modality.save_samples is not None else []
        operations += ["label-maps"] if modality.mask_suffixes else []
        reads = [modality.reads] if isinstance(modality.reads, str) else list(modality.reads)
        return {
            "id": modality.id, "version": modality.version, "summary": modality.summary, "family": modality.family,
            "geometry": modality.geometry(modality.Options()), "reads": reads, "options": plugin.options_schema(modality),
            "renders": modality.renders, "operations": operations,
        }

    # Operations. Each returns the header of the answer, and bytes behind it.

    def describe(self, request, content):
        return {"description": self.description()}, b""

    def synthesise(self, request, content):
        body = json.loads(content)
        data, options = self.modality.synthesise(Path(body["folder"]), int(body["n_samples"]), int(body["seed"]))
        return {}, encoded({"data": [os.fspath(entry) for entry in data], "options": options})

    def survey(self, request, content):
        # A method of an open dataset that happens to have this name is another one.
        is_own = isinstance(inspect.getattr_static(self.modality, "survey"), (staticmethod, classmethod))
        body = json.loads(content)
        survey = self.modality.survey(Path(body["base"]), [Path(entry) for entry in body["data"]]) if is_own else None
        if not isinstance(survey, (plugin.Survey, type(None))):
            raise plugin.Fault(f"survey returned {type(survey).__name__}; a Survey or None was expected")
        return {}, encoded(survey and survey.answer(self.modality))

    def open(self, request, content):
        body = json.loads(content)
        dataset = self.modality.opened(
            body["base"], body["data"], body.get("options"), body.get("assets"), self.progress())
        info = {"n_samples": len(dataset), "geometry": dataset.opened_geometry, "fingerprint": dataset.fingerprint()}
        self.datasets[request["dataset"]] = dataset
        return info, b""

    def progress(self):
        last = [0.0]

        def report(done, total, what):
            now = time.monotonic()
            if now - last[0] < PROGRESS_INTERVAL:
                return
            last[0] = now
            self.write({"progress": {"done": int(done), "total": int(total), "what": str(what)}})
            if self.read()[0]["stop"]:
                raise plugin.Stopped("the host asked to stop")

        return report

    def records(self, request, content):
        body, dataset = json.loads(content), self.datasets[request["dataset"]]
        end = min(body["first"] + body["count"], len(dataset))
        return {}, encoded([record(dataset.record(index)) for index in range(body["first"], end)])

    def account(self, request, content):
        body, account = json.loads(content), self.datasets[request["dataset"]].account()
        if not isinstance(account, (plugin.Account, type(None))):
            raise plugin.Fault(f"account returned {type(account).__name__}; an Account or None was expected")
        return {}, encoded(account and account.page(body["first"], body["count"]))

    def save_assets(self, request, content):
        return {}, encoded(list(self.datasets[request["dataset"]].save_assets(Path(json.loads(content)["folder"]))))

    def keep(self, request, content):
        body, dataset = json.loads(content), self.datasets[request["dataset"]]
        outside = [index for index in body["indices"] if index >= len(dataset)]
        if outside:
            raise plugin.BadOption(f"sample {outside[0]} does not exist; there are {len(dataset)}")
        data, options = dataset.save_samples(body["indices"], Path(body["folder"]))
        return {}, encoded({"data": [os.fspath(entry) for entry in data], "options": options})

    def render(self, request, content):
        dataset = self.datasets[request["dataset"]]
        answer = dataset.render(*rendered(dataset.opened_geometry, content))
        return {}, answer.encode("utf-8", "replace") if isinstance(answer, str) else bytes(answer)

    def label_maps(self, request, content):
        dataset = self.datasets[request["dataset"]]
        records = (record(dataset.record(index)) for index in range(len(dataset)))
        files = [one.get("file", one["id"]) for one in records]
        return {}, medcoss_masks.label_maps(dataset, json.loads(content), files, self.reported)

    def close(self, request, content):
        self.datasets.pop(request["dataset"], None)
        return None, b""

    def fill(self, request, content):
        dataset, training = self.datasets[request["dataset"]], request["training"]
        parts, loaded = self.parts(request), np.frombuffer(self.memory, "i8", 1, request["n_bytes"])
        done, last = [], time.monotonic()
        final = request["samples"][-1][0]
        for at, (slot, index, seed) in enumerate(request["samples"]):
            loaded[0] = slot
            answer = {"slot": slot}
            try:
                self.fill_one(dataset, training, index, seed, {name: part[at] for name, part in parts.items()})
            except plugin.Skip as skip:
                answer.update(code=plugin.SKIPPED, message=str(skip) or "nothing to learn")
            except BaseException as error:
                answer.update(self.reported(error, plugin.CORRUPT))
            done.append(answer)
            if slot == final or time.monotonic() - last > REPORT_INTERVAL:
                self.write({"done": done})
                done, last = [], time.monotonic()
        return None, b""

    def fill_one(self, dataset, training, index, seed, parts):
        try:
            put(dataset.opened_geometry, dataset.sample(index, training, seed), parts)
        except plugin.Skip as skip:
            if not training:
                if skip.sample is None:
                    raise plugin.Fault(
                        "Skip was raised in the evaluation view without the sample; write Skip(reason, sample)") from skip
                put(dataset.opened_geometry, dataset.checked(training, skip.sample), parts)
            raise

    def parts(self, request):
        """The shared arrays of a request by name, each [n, elements of a sample]. Behind all is the slot that is being loaded."""
        if self.memory is None or len(self.memory) < request["n_bytes"] + 8:
            self.memory = mmap.mmap(self.descriptor, request["n_bytes"] + 8)
        n = len(request["samples"])
        return {
            name: np.frombuffer(self.memory, kind, n * elements, offset).reshape(n, elements)
            for name, kind, offset, elements in request["parts"]
        }

    def reported(self, error, code):
        """Code and message of an exception; `code` is that of a ValueError and of exceptions of other libraries."""
        place = self.place(error)
        message = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        at = f" (at {place})" if place else ""
        if isinstance(error, (plugin.BadOption, plugin.Stopped, plugin.Unsupported, plugin.Skip)):
            kinds = ((plugin.BadOption, plugin.BAD_REQUEST), (plugin.Stopped, plugin.STOPPED), (plugin.Skip, plugin.SKIPPED))
            code = next((own for kind, own in kinds if isinstance(error, kind)), plugin.UNSUPPORTED)
            message, at = str(error) or type(error).__name__, ""
        elif isinstance(error, plugin.Fault):
            code, message = plugin.PANIC, f"{self.start['module']}.py: {error}"
        elif isinstance(error, plugin.FAULTS):
            code, message = plugin.PANIC, f"{self.start['module']}.py raised {message}"
        elif isinstance(error, OSError):
            code = plugin.UNREADABLE
        if len(message) > LONGEST_MESSAGE:
            message = message[:LONGEST_MESSAGE] + " ..."
        return {"code": code, "message": message + at}

    def place(self, error):
        """`file:line` of the innermost frame in the author's own files."""
        place, trace = None, error.__traceback__
        while trace is not None:
            path = trace.tb_frame.f_code.co_filename
            if self.is_own(path):
                place = f"{self.short(path)}:{trace.tb_lineno}"
            trace = trace.tb_next
        if place is None and isinstance(error, SyntaxError) and error.filename and self.is_own(error.filename):
            place = f"{self.short(error.filename)}:{error.lineno}"
        return place


def put(geometry, arrays, parts):
    """Copies a sample's arrays into the shared ones of those that are wanted."""
    if geometry["kind"] == "discrete":
        n = int(arrays.get("length", arrays["ids"].size))
        ids, labels = parts["ids"], parts["labels"]
        ids.fill(geometry["padding_id"])
        labels.fill(plugin.NOT_A_TARGET)
        np.copyto(ids[: arrays["ids"].size], arrays["ids"], casting="same_kind")
        if "labels" in arrays:
            np.copyto(labels[: arrays["labels"].size], arrays["labels"], casting="same_kind")
        parts["lengths"][0] = n
        return
    for name, part in parts.items():
        array = arrays.get(name)
        if array is None:
            # The mask of the evaluation view.
            part.fill(0)
        elif part.dtype == np.uint8:
            if array.dtype != bool and not ((array == 0) | (array == 1)).all():
                raise plugin.Fault(f"{name} has values other than 0 and 1")
            np.copyto(part.reshape(array.shape), array, casting="unsafe")
        else:
            np.copyto(part.reshape(array.shape), array, casting="same_kind")


def rendered(geometry, content):
    """Tokens and what is hidden of them, from the body of `render`; hidden values are 0."""
    refused = plugin.BadOption
    if len(content) < 8:
        raise refused(f"request: it has {len(content)} bytes")
    n = struct.unpack("<Q", content[:8])[0]
    try:
        names, rest = json.loads(content[8 : 8 + n])["parts"], content[8 + n :]
    except (ValueError, KeyError, TypeError) as error:
        raise refused(f"request: {error}") from None
    if geometry["kind"] == "discrete":
        n_tokens, shape, kind, values_name = geometry["length"], (geometry["length"],), "<i4", "ids"
    else:
        n_tokens = int(np.prod(geometry["grid"]))
        shape, kind, values_name = (n_tokens, geometry["d_token"]), "<f4", "tokens"
    values, hidden = None, np.zeros(n_tokens, bool)
    for name in names:
        if name not in (values_name, "mask", "valid"):
            raise refused(f"request: a part {name!r} of a sample with {values_name}")
        n_bytes = 4 * int(np.prod(shape)) if name == values_name else n_tokens
        part, rest = rest[:n_bytes], rest[n_bytes:]
        if len(part) < n_bytes:
            raise refused(f"request: {name} has {len(part)} bytes instead of {n_bytes}")
        if name == values_name:
            values = np.frombuffer(part, kind).reshape(shape).copy()
        else:
            hidden |= np.frombuffer(part, np.uint8) == (1 if name == "mask" else 0)
    if values is None or rest:
        raise refused(f"request: {len(rest)} bytes more than its parts, or no {values_name}")
    if geometry["kind"] == "continuous":
        values[hidden] = 0
    return values, hidden


def record(given):
    """A record as the contract has it: an id alone is one."""
    given = {"id": given} if isinstance(given, str) else dict(given)
    given = {name: value for name, value in given.items() if value is not None and value != ""}
    for name in ("id", "file", "group", "label", "pair"):
        if name in given:
            given[name] = plugin._printable(str(given[name]))
    return given


def encoded(answer):
    return json.dumps(answer, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")


def serve(start, descriptors, read, write):
    """Answers requests until the bridge closes its end."""
    memory, lifeline = descriptors
    # The end of the host closes the other end of this pipe. The kernel then ends this process, in whatever code it is.
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    worker = Worker(start, memory, read, write)
    name = start["module"]
    try:
        worker.import_module()
        hello = {"time_limit_s": float(worker.modality.time_limit_s), "id": worker.modality.id}
    except ModuleNotFoundError as error:
        hello = {"error": {
            "code": plugin.BAD_REQUEST,
            "message": f"{name}.py needs the Python module {error.name}, which the Python at {sys.executable} lacks (at "
            f"{worker.place(error)})\nhint: install it there, or name another interpreter in MEDCOSS_PYTHON",
        }}
    except BaseException as error:
        hello = {"error": worker.reported(error, plugin.PANIC)}
    write(hello)
    operations = {name.replace("_", "-"): getattr(worker, name) for name in (
        "describe", "synthesise", "survey", "open", "records", "account", "save_assets", "keep", "render", "label_maps", "close", "fill")}
    codes = {"describe": plugin.PANIC, "synthesise": plugin.PANIC}
    while True:
        request, content = read()
        operation = request["operation"]
        try:
            answer, bytes_behind = operations[operation](request, content)
        except BaseException as error:
            answer, bytes_behind = {"error": worker.reported(error, codes.get(operation, plugin.CORRUPT))}, b""
        if answer is not None:
            write(answer, bytes_behind)
