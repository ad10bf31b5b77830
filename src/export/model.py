"""A model of mlpgrid in PyTorch, with what is done to images before the network sees them.

    from model import load
    scores = load()(x)

x is (N, D) or (N, rows, columns, channels): numbers as they are in the data files, such as pixels from 0 to 255.
"""

from pathlib import Path

import torch
from torch import nn


class Mlp(nn.Module):
    """relu(((x - mean_image) * scale_image) @ projection.T @ W1 + b1) @ W2 + b2"""

    def __init__(self, state):
        super().__init__()
        for name in ["mean_image", "scale_image", "projection"]:
            self.register_buffer(name, state.get(name))
        for name in ["fc1", "fc2"]:
            weight = state[name + ".weight"]
            setattr(self, name, nn.Linear(weight.shape[1], weight.shape[0], dtype=weight.dtype))
        self.load_state_dict(state)

    def forward(self, x):
        x = x.to(self.mean_image).flatten(1) - self.mean_image
        if self.scale_image is not None:
            x = x * self.scale_image
        if self.projection is not None:
            x = x @ self.projection.T
        return self.fc2(self.fc1(x).relu())


class Ensemble(nn.Module):
    """The mean of the members' probabilities."""

    def __init__(self, members):
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, x):
        return sum(member(x).softmax(1) for member in self.members) / len(self.members)


def load(folder=Path(__file__).parent):
    """The model whose weights are in the folder."""
    folder = Path(folder)
    if (folder / "model.safetensors").exists():
        from safetensors.torch import load_file

        state = load_file(folder / "model.safetensors")
    else:
        state = torch.load(folder / "model.pt", weights_only=True)
    if "fc1.weight" in state:
        return Mlp(state).eval()
    members = {}
    for name, tensor in state.items():
        _, k, own = name.split(".", 2)
        members.setdefault(int(k), {})[own] = tensor
    return Ensemble([Mlp(members[k]) for k in sorted(members)]).eval()
