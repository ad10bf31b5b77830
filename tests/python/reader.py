"""The reader in python/mlpgrid on a sweep and an ensemble: python reader.py SWEEP ENSEMBLE FOLDER, where FOLDER has x.npy and y.npy of the test images."""

import sys
from pathlib import Path

import numpy
import pandas

import mlpgrid

directory, ensemble, folder = map(Path, sys.argv[1:])
images, labels = numpy.load(folder / "x.npy"), numpy.load(folder / "y.npy")
sweep = mlpgrid.read(directory)
board = pandas.read_csv(directory / "leaderboard.csv", dtype={"trial": str})

assert sweep.table.trial.tolist()[: (board.status == "complete").sum()] == board.trial[board.status == "complete"].tolist()
assert set(sweep.table.trial) == set(board.trial) and len(sweep.table) == len(board)
assert (sweep.table.set_index("trial").loc[board.trial].hidden.values == board.hidden.values).all()
curves = sweep.curves()
assert set(curves.trial) == set(board.trial) and {"epoch", "val_accuracy", "loss"} <= set(curves.columns)

for model, path in [(sweep.best(), directory), (mlpgrid.load(ensemble), ensemble)]:
    report = mlpgrid.run("eval", path, "--data", folder / "data", "--test")
    accuracy = model.accuracy(images.reshape(-1, 32, 32, 3), labels)
    assert abs(accuracy - report["test_accuracy"]) <= 1 / len(labels), (accuracy, report)
best = sweep.best()
assert best.provenance["trial"] == board.trial[0] and best["W1"].shape[0] == 3072
assert best.weights().shape == (best["b1"].shape[0], 3072)
assert sweep.model(board.trial[1]).provenance["trial"] == board.trial[1]
print(f"reader: {sweep!r}, program {mlpgrid.program()}")
