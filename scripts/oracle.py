#!/usr/bin/env python3
"""Writes tests/fixtures/two_layer_net.json: what numpy computes for the two-layer network, as an outside oracle.

    pip install numpy && python3 scripts/oracle.py

Everything is f64 and written with all its digits. The cases:
  toy       the cs231n notebook's toy network and data, from numpy's legacy random stream
  random    networks of other shapes, with L2
  training  a few iterations of SGD on given minibatches, with L2 and learning-rate decay
"""

import json
import pathlib

import numpy as np


def loss_and_gradients(net, x, y, l2):
    rows = len(x)
    z = x @ net["w1"] + net["b1"]
    a = np.maximum(z, 0)
    scores = a @ net["w2"] + net["b2"]
    shifted = scores - scores.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    loss = -log_p[np.arange(rows), y].mean() + l2 * ((net["w1"] ** 2).sum() + (net["w2"] ** 2).sum())
    d_scores = np.exp(log_p)
    d_scores[np.arange(rows), y] -= 1
    d_scores /= rows
    dz = (d_scores @ net["w2"].T) * (z > 0)
    gradients = {
        "w1": x.T @ dz + 2 * l2 * net["w1"],
        "b1": dz.sum(axis=0),
        "w2": a.T @ d_scores + 2 * l2 * net["w2"],
        "b2": d_scores.sum(axis=0),
    }
    return scores, loss, gradients


def plain(arrays):
    return {name: np.asarray(array).tolist() for name, array in arrays.items()}


def case(net, x, y, l2):
    scores, loss, gradients = loss_and_gradients(net, x, y, l2)
    return {
        "net": plain(net), "x": x.tolist(), "y": y.tolist(), "l2": l2,
        "scores": scores.tolist(), "loss": loss, "gradients": plain(gradients),
    }


def random_net(random, inputs, hidden, classes, scale):
    return {
        "w1": scale * random.standard_normal((inputs, hidden)),
        "b1": scale * random.standard_normal(hidden),
        "w2": scale * random.standard_normal((hidden, classes)),
        "b2": scale * random.standard_normal(classes),
    }


def toy():
    np.random.seed(0)
    net = {"w1": 1e-1 * np.random.randn(4, 10), "b1": np.zeros(10), "w2": 1e-1 * np.random.randn(10, 3), "b2": np.zeros(3)}
    np.random.seed(1)
    return case(net, 10 * np.random.randn(5, 4), np.array([0, 1, 2, 2, 1]), 0.05)


def random_cases():
    random = np.random.default_rng(231)
    cases = []
    for rows, inputs, hidden, classes, l2 in [(1, 3, 2, 2, 0.0), (7, 5, 9, 4, 0.1), (20, 33, 17, 10, 0.01), (6, 12, 8, 3, 2.0)]:
        net = random_net(random, inputs, hidden, classes, 0.5)
        x = random.standard_normal((rows, inputs))
        cases.append(case(net, x, random.integers(classes, size=rows), l2))
    return cases


def training():
    random = np.random.default_rng(7)
    rows, inputs, hidden, classes, l2, rate, decay = 8, 6, 5, 3, 0.05, 0.2, 0.9
    net = random_net(random, inputs, hidden, classes, 0.3)
    first = plain(net)
    batches, losses = [], []
    for iteration in range(12):
        x, y = random.standard_normal((rows, inputs)), random.integers(classes, size=rows)
        _, loss, gradients = loss_and_gradients(net, x, y, l2)
        net = {name: net[name] - rate * gradients[name] for name in net}
        batches.append({"x": x.tolist(), "y": y.tolist()})
        losses.append(loss)
        rate *= decay
    return {
        "net": first, "l2": l2, "learning_rate": 0.2, "decay": decay,
        "batches": batches, "losses": losses, "trained": plain(net),
    }


if __name__ == "__main__":
    path = pathlib.Path(__file__).parent.parent / "tests/fixtures/two_layer_net.json"
    path.write_text(json.dumps({"numpy": np.__version__, "toy": toy(), "random": random_cases(), "training": training()}) + "\n")
    print(path)
