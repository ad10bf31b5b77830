#!/usr/bin/env python3
"""Writes tests/fixtures/optimizers.json: what PyTorch's update rules and schedules do in 100 iterations, in f64.

Usage: scripts/optimizer-oracle.py > tests/fixtures/optimizers.json    (needs torch)

The loss is that of a fixed quadratic with a kink in its gradient: grad(w) = A w - b + sin(w). Weights decay, biases do not;
PyTorch's weight_decay is 2 λ.
"""
import json
import math

import torch

torch.set_default_dtype(torch.float64)
ITERATIONS = 100
WEIGHTS, BIASES = 6, 3
SIZE = WEIGHTS + BIASES


def matrix(row, column):
    return (2.0 if row == column else 0.0) + 0.3 * math.cos(1.0 + 2.0 * row + 3.0 * column + row * column)


A = torch.tensor([[matrix(row, column) for column in range(SIZE)] for row in range(SIZE)])
B = torch.tensor([math.sin(1.0 + row) for row in range(SIZE)])
START = torch.tensor([math.cos(3.0 * row) for row in range(SIZE)])


def gradient(w):
    return A @ w - B + torch.sin(w)


def train(make, clip_norm, rates):
    weights = torch.nn.Parameter(START[:WEIGHTS].clone())
    biases = torch.nn.Parameter(START[WEIGHTS:].clone())
    optimizer = make(weights, biases)
    kept = {}
    for iteration, rate in enumerate(rates):
        with torch.no_grad():
            whole = gradient(torch.cat([weights, biases]))
        weights.grad, biases.grad = whole[:WEIGHTS].clone(), whole[WEIGHTS:].clone()
        if clip_norm:
            torch.nn.utils.clip_grad_norm_([weights, biases], clip_norm)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        if iteration + 1 in (1, 2, 10, 100):
            kept[iteration + 1] = torch.cat([weights, biases]).tolist()
    return kept


def case(name, kind, l2=0.0, clip_norm=0.0, rate=0.05, **constants):
    def make(weights, biases):
        groups = [{"params": [weights], "weight_decay": 2.0 * l2}, {"params": [biases], "weight_decay": 0.0}]
        if kind in ("sgd", "momentum", "nesterov"):
            return torch.optim.SGD(groups, lr=rate, momentum=constants.get("momentum", 0.0), nesterov=kind == "nesterov")
        betas = (constants["beta1"], constants["beta2"])
        rule = torch.optim.AdamW if kind == "adamw" else torch.optim.Adam
        return rule(groups, lr=rate, betas=betas, eps=constants["epsilon"])

    parameters = train(make, clip_norm, [rate * 0.99**iteration for iteration in range(ITERATIONS)])
    return {"name": name, "optimizer": kind, "l2": l2, "clip_norm": clip_norm, "rate": rate, **constants, "parameters": parameters}


def schedule(name, base, make):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=base)
    scheduler = make(optimizer)
    rates = []
    for _ in range(ITERATIONS):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return {"name": name, "base": base, "rates": rates}


ADAM = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
lr = torch.optim.lr_scheduler
print(json.dumps({
    "torch": torch.__version__,
    "cases": [
        case("sgd", "sgd"),
        case("sgd, decay", "sgd", l2=0.1),
        case("sgd, decay, clipped", "sgd", l2=0.1, clip_norm=0.5),
        case("momentum", "momentum", momentum=0.9),
        case("momentum, decay", "momentum", l2=0.1, momentum=0.8),
        case("momentum, decay, clipped", "momentum", l2=0.1, clip_norm=0.5, momentum=0.9),
        case("nesterov", "nesterov", momentum=0.9),
        case("nesterov, decay, clipped", "nesterov", l2=0.05, clip_norm=0.7, momentum=0.7),
        case("adam", "adam", **ADAM),
        case("adam, decay", "adam", l2=0.1, **ADAM),
        case("adam, other constants, clipped", "adam", l2=0.1, clip_norm=0.5, beta1=0.7, beta2=0.9, epsilon=1e-3),
        case("adamw", "adamw", l2=0.1, **ADAM),
        case("adamw, clipped", "adamw", l2=0.3, clip_norm=0.4, beta1=0.8, beta2=0.99, epsilon=1e-6),
    ],
    "schedules": [
        schedule("cosine", 0.1, lambda o: lr.CosineAnnealingLR(o, ITERATIONS)),
        schedule("cosine, floor 0.2", 0.1, lambda o: lr.CosineAnnealingLR(o, ITERATIONS, eta_min=0.02)),
        schedule("linear", 0.1, lambda o: lr.LinearLR(o, 1.0, 0.0, ITERATIONS)),
        schedule("linear, floor 0.3", 0.1, lambda o: lr.LinearLR(o, 1.0, 0.3, ITERATIONS)),
        schedule("step", 0.1, lambda o: lr.StepLR(o, 20, 0.3)),
        schedule("linear after a warm-up of 10", 0.1, lambda o: lr.SequentialLR(
            o, [lr.LinearLR(o, 0.1, 1.0, 9), lr.LinearLR(o, 1.0, 0.0, ITERATIONS - 10)], [10])),
    ],
}, indent=1))
