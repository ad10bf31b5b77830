"""Holds what mlpgrid exports against the tools that read it. Called by tests/python/check; exit code 1 and a line where something differs."""

import importlib.util
import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from wsgiref.util import setup_testing_defaults

import numpy as np

TOLERANCE = 1e-5  # of the largest score


def rows(data, folder):
    """Writes the test images and labels of CIFAR's binary files as arrays."""
    records = np.fromfile(Path(data) / "test_batch.bin", dtype=np.uint8).reshape(-1, 3073)
    images = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    np.save(Path(folder) / "x.npy", images.reshape(len(images), -1))
    np.save(Path(folder) / "y.npy", records[:, 0])


def forward(tensors, x, prefix=""):
    """Scores in the precision of x, as the program's documentation has them."""
    get = lambda name: tensors[prefix + name].astype(x.dtype)
    x = x - get("mean_image")
    if prefix + "scale_image" in tensors:
        x = x * get("scale_image")
    if prefix + "projection" in tensors:
        x = x @ get("projection").T
    return np.maximum(x @ get("W1") + get("b1"), 0) @ get("W2") + get("b2")


def softmax(scores):
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def outputs(tensors, x):
    """Scores of a model, mean probabilities of an ensemble."""
    members = sorted({name.split(".")[0] for name in tensors if name.endswith(".W1") and name[0].isdigit()}, key=int)
    if not members:
        return forward(tensors, x)
    return sum(softmax(forward(tensors, x, f"{k}.")) for k in members) / len(members)


def hold(what, found, expected):
    difference = np.abs(np.asarray(found, dtype=np.float64) - expected).max() / np.abs(expected).max()
    print(f"{what}: {difference:.1e} of the largest")
    if not difference <= TOLERANCE:
        sys.exit(f"{what}: differs by more than {TOLERANCE}")


def cases(folder):
    """Each model's folder, the rows, and what the model as the program saved it gives in f64."""
    from safetensors.numpy import load_file

    x = np.load(folder / "x.npy")
    found = sorted(path.parent for path in folder.glob("*/model.npz"))
    assert len(found) >= 4, found
    for case in found:
        yield case, x, outputs(load_file(case / "saved.safetensors"), x.astype(np.float64))


def models(folder):
    import onnxruntime

    folder = Path(folder)
    labels = np.load(folder / "y.npy")
    for case, x, expected in cases(folder):
        # The reference is the program's: as many images are right as it counted.
        accuracy = json.loads((case / "eval.json").read_text())["test_accuracy"]
        right = (expected.argmax(axis=1) == labels).sum()
        if abs(right - accuracy * len(labels)) > 1:
            sys.exit(f"{case.name}: {right} images are right, the program counts {accuracy * len(labels)}")
        with np.load(case / "model.npz") as npz:
            tensors = dict(npz)
        description = json.loads(str(tensors.pop("description")))
        assert description["inputs"] == x.shape[1] and description["image"] == [32, 32, 3], description
        dtype = next(iter(tensors.values())).dtype
        hold(f"{case.name}: numpy", outputs(tensors, x.astype(dtype)), expected)
        session = onnxruntime.InferenceSession(case / "model.onnx")
        hold(f"{case.name}: onnxruntime", session.run(None, {"x": x.astype(dtype)})[0], expected)


def torch(folder):
    import torch

    for case, x, expected in cases(Path(folder)):
        for form in ["pytorch", "hub"]:
            spec = importlib.util.spec_from_file_location("model", case / form / "model.py")
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            with torch.no_grad():
                scores = module.load()(torch.from_numpy(x).reshape(-1, 32, 32, 3))
            hold(f"{case.name}: PyTorch, {form}", scores.numpy(), expected)
        config = json.loads((case / "hub" / "config.json").read_text())
        card = (case / "hub" / "README.md").read_text()
        assert config["classes"] == 10 and card.startswith("---\n") and "\n---\n" in card, card


def leaderboard(directory):
    import pandas

    return pandas.read_csv(Path(directory) / "leaderboard.csv", dtype={"trial": str}).set_index("trial")


def optuna(journal, directory):
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend
    from optuna_dashboard import wsgi

    storage = JournalStorage(JournalFileBackend(journal))
    [name] = optuna.get_all_study_names(storage)
    study = optuna.load_study(study_name=name, storage=storage)
    table = leaderboard(directory)
    assert len(study.trials) == len(table) and study.direction == optuna.study.StudyDirection.MAXIMIZE
    for trial in study.trials:
        row = table.loc[trial.user_attrs["trial"]]
        state = {"complete": "COMPLETE", "diverged": "FAIL", "failed": "FAIL", "stopped": "PRUNED"}[row.status]
        assert trial.state.name == state, trial
        assert state != "COMPLETE" or trial.value == row.val_accuracy, trial
        assert trial.user_attrs["seed"] == row.seed and trial.intermediate_values, trial
        for parameter, value in trial.params.items():
            assert value == row[parameter], (trial, parameter)
    assert set(study.best_trial.params) == {"hidden", "learning_rate", "sampling"}, study.best_trial
    assert study.best_value == table.val_accuracy.max()
    assert len(optuna.importance.get_param_importances(study)) == 3
    assert len(study.trials_dataframe()) == len(table)

    # The dashboard, asked as a browser asks it.
    app, answers = wsgi(storage), []
    environ = {"PATH_INFO": "/api/studies/0", "QUERY_STRING": "after=0"}
    setup_testing_defaults(environ)
    body = b"".join(app(environ, lambda status, *_: answers.append(status)))
    assert answers[0].startswith("200"), (answers, body)
    assert len(json.loads(body)["trials"]) == len(table)
    print(f"optuna {optuna.__version__} and its dashboard: {len(table)} trials, best {study.best_value}")


def tensorboard(logdir, directory, port):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    table = leaderboard(directory)
    best = table.index[0]
    events = EventAccumulator(str(Path(logdir) / best)).Reload()
    scalars = events.Scalars("val_accuracy")
    assert abs(scalars[-1].value - table.val_accuracy.iloc[0]) < 1e-6, scalars
    assert scalars[-1].step == table.iterations_done.iloc[0] and len(events.Scalars("loss")) == len(scalars)

    command = [sys.executable, "-m", "tensorboard.main", "--logdir", logdir, "--port", port, "--load_fast", "false"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        runs = len(list(Path(logdir).iterdir())) - 1
        groups = []
        for _ in range(120):
            time.sleep(0.5)
            request = {"startIndex": 0, "sliceSize": 100, "colParams": [], "allowedStatuses": ["STATUS_SUCCESS", "STATUS_FAILURE"]}
            url = f"http://127.0.0.1:{port}/data/plugin/hparams/session_groups"
            call = urllib.request.Request(url, json.dumps(request).encode(), {"Content-Type": "application/json"})
            try:
                groups = json.load(urllib.request.urlopen(call))["sessionGroups"]
            except (OSError, KeyError):
                continue
            if sum(len(group["sessions"]) for group in groups) == runs:
                break
    finally:
        server.terminate()
        server.wait()
    sessions = [session["name"] for group in groups for session in group["sessions"]]
    assert sorted(sessions) == sorted(table.index[:runs]), (sessions, runs)
    # Trials that differ in their seed alone are one group.
    columns = ["hidden", "learning_rate", "sampling"]
    assert len(groups) == len(table.iloc[:runs].groupby(columns)), groups
    [group] = [group for group in groups if best in [session["name"] for session in group["sessions"]]]
    for column in columns:
        assert group["hparams"][column] == table.loc[best][column], group
    print(f"TensorBoard: {len(sessions)} trials in {len(groups)} groups")


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
