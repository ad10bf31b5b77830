"""Reads what the program mlpgrid wrote: results of sweeps as tables, models as arrays.

    import mlpgrid

    sweep = mlpgrid.read("runs/tune")
    sweep.table                   # a DataFrame: a row a trial, the best first
    sweep.curves()                # a DataFrame: a row an epoch of a trial
    model = sweep.best()          # the trial that validation ranks first
    model["W1"]                   # an array (D, H)
    model.predict(images)         # a class for each image

Tables need pandas, models need numpy; nothing else is needed. `mlpgrid.run("train", "--hidden", 50)` runs the program, which comes in the same
wheel.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zlib
from pathlib import Path

__all__ = ["Model", "Sweep", "history", "load", "program", "read", "run"]

_STATUS = ["complete", "stopped", "diverged", "failed"]  # in the order of a leaderboard


def program() -> str:
    """The path of the program: MLPGRID if that is set, else the one of this installation, else the one on the path."""
    name = "mlpgrid.exe" if os.name == "nt" else "mlpgrid"
    own = [Path(sysconfig.get_path("scripts")) / name, Path(sys.prefix) / "bin" / name]
    own += [Path(sysconfig.get_path("scripts", f"{os.name}_user")) / name]
    found = os.environ.get("MLPGRID") or next((str(path) for path in own if path.exists()), None) or shutil.which(name)
    if not found:
        raise FileNotFoundError("mlpgrid: expected the program, found none; install the wheel, or set MLPGRID to its path")
    return found


def run(*arguments) -> dict | None:
    """Runs the program with these arguments. Returns the JSON object that it prints, or none. Messages go to stderr.

    A command that fails raises CalledProcessError; exit code 3, some trials diverged or failed, is no failure.
    """
    command = [program(), *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode not in (0, 3):
        raise subprocess.CalledProcessError(done.returncode, command)
    lines = done.stdout.strip().splitlines()
    try:
        return json.loads(lines[-1]) if lines else None
    except json.JSONDecodeError:
        return None


def read(directory) -> Sweep:
    """What is recorded in a sweep's directory until now, also while it runs."""
    return Sweep(directory)


def load(path) -> Model:
    """The model of a file, or of a directory that `train` or `sweep` wrote."""
    path = Path(path)
    if path.is_dir():
        found = [file for file in (path / "model.safetensors", path / "best.safetensors") if file.exists()]
        if not found:
            raise FileNotFoundError(f"{path}: expected model.safetensors or best.safetensors, found neither")
        path = found[0]
    return Model(path)


def history(directory):
    """Loss and accuracy of a training, iteration by iteration, as a DataFrame."""
    import pandas

    return pandas.read_csv(Path(directory) / "history.csv")


class Sweep:
    """What a sweep recorded. `records` holds a dictionary for each trial, the best first, without pandas too."""

    def __init__(self, directory):
        self.directory = Path(directory)
        if not (self.directory / "sweep.toml").exists():
            raise FileNotFoundError(f"{self.directory}: expected a directory that `mlpgrid sweep` wrote, found no sweep.toml")
        of_trial = {}
        for path in sorted((self.directory / "results").glob("*.jsonl")):
            for line in path.read_bytes().splitlines():
                record = _record(line)
                if record:
                    of_trial[record["trial"]] = record  # of two the later counts
        self.records = sorted(of_trial.values(), key=_rank)

    @property
    def table(self):
        """A row a trial, the best of validation first, without its curve."""
        import pandas

        rows = [{key: value for key, value in record.items() if key != "curve"} for record in self.records]
        return pandas.DataFrame(rows)

    def curves(self):
        """A row for each epoch of each trial: `trial`, `epoch`, `iteration`, `loss`, `train_accuracy`, `val_accuracy`, …"""
        import pandas

        return pandas.DataFrame([{"trial": record["trial"], **point} for record in self.records for point in record["curve"]])

    def best(self) -> Model:
        """The model that validation ranks first."""
        return load(self.directory)

    def model(self, trial) -> Model:
        """The model of a trial, of a sweep with --keep-models."""
        return Model(self.directory / "models" / f"{trial}.safetensors")

    def __repr__(self):
        best = next((record["val_accuracy"] for record in self.records if record["status"] == "complete"), None)
        text = "" if best is None else f", best validation accuracy {best:.4f}"
        return f"<sweep {self.directory}: {len(self.records)} trials{text}>"


def _record(line):
    """The record of a line; none where its checksum does not fit, as of the line that is being written."""
    body, found, rest = line.rpartition(b',"checksum":"')
    if not found or rest != b'%08x"}' % zlib.crc32(body):
        return None
    return json.loads(body + b"}")


def _rank(record):
    status = record["status"]
    order = _STATUS.index(status) if status in _STATUS else len(_STATUS)
    accuracy, loss = record.get("val_accuracy"), record.get("final_loss")
    return (order, -1.0 if accuracy is None else -accuracy, float("inf") if loss is None else loss, -(record.get("diverged_at") or 0))


class Model:
    """A network, or an ensemble, with what is done to images before it sees them. `model["W1"]` is an array.

    mean_image (D), scale_image (D) and projection (k, D) where it has them, W1 (k, H), b1 (H), W2 (H, C), b2 (C); of an ensemble, the names of
    member k begin with `k.`. `provenance` is what made it: the hyperparameters, the data, the program.
    """

    def __init__(self, path):
        import numpy

        content = Path(path).read_bytes()
        start = 8 + int.from_bytes(content[:8], "little")
        header = json.loads(content[8:start])
        metadata = header.pop("__metadata__", {})
        types = {"F32": "<f4", "F64": "<f8"}
        self.path = Path(path)
        self.arrays = {}
        for name, tensor in header.items():
            begin, end = tensor["data_offsets"]
            numbers = numpy.frombuffer(content[start + begin : start + end], dtype=types[tensor["dtype"]])
            self.arrays[name] = numbers.reshape(tensor["shape"])
        self.provenance = json.loads(metadata.get("mlpgrid-ensemble") or metadata["mlpgrid"])

    def __getitem__(self, name):
        return self.arrays[name]

    def __repr__(self):
        names = ", ".join(f"{name} {array.shape}" for name, array in self.arrays.items())
        return f"<model {self.path}: {names}>"

    @property
    def members(self):
        """The prefixes of its networks' arrays: `[""]` of a single one."""
        members = sorted(int(name.split(".")[0]) for name in self.arrays if name[0].isdigit() and name.endswith(".W1"))
        return [f"{k}." for k in members if f"{k}.b1" in self.arrays] or [""]

    def scores(self, images):
        """(N, C) of images (N, rows, columns, channels) or rows (N, D), as they are in the data files; of an ensemble its mean probabilities."""
        members = self.members
        if members == [""]:
            return self._scores(images, "")
        return sum(_softmax(self._scores(images, member)) for member in members) / len(members)

    def predict(self, images):
        """(N) classes."""
        return self.scores(images).argmax(axis=1)

    def accuracy(self, images, labels):
        """The share of images that are given their labels."""
        return float((self.predict(images) == labels).mean())

    def weights(self):
        """The first layer in the space of images, (H, D): what each hidden unit looks for."""
        import numpy

        w1 = self.arrays["W1"]
        if "projection" in self.arrays:
            w1 = self.arrays["projection"].T.astype(w1.dtype) @ w1
        if "scale_image" in self.arrays:
            w1 = w1 * self.arrays["scale_image"][:, None]
        return numpy.ascontiguousarray(w1.T)

    def _scores(self, images, prefix):
        import numpy

        get = lambda name: self.arrays[prefix + name].astype(kind, copy=False)
        kind = self.arrays[prefix + "W1"].dtype
        x = numpy.asarray(images).reshape(len(images), -1).astype(kind) - get("mean_image")
        if prefix + "scale_image" in self.arrays:
            x = x * get("scale_image")
        if prefix + "projection" in self.arrays:
            x = x @ get("projection").T
        return numpy.maximum(x @ get("W1") + get("b1"), 0) @ get("W2") + get("b2")


def _softmax(scores):
    import numpy

    exponentials = numpy.exp(scores - scores.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)
