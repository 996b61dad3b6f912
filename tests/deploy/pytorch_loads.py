"""Loads an exported safetensors file by load_state_dict into LeNet-5 as PyTorch has it, and compares its scores.

    pytorch_loads.py WEIGHTS IMAGES SCORES

WEIGHTS has the layers conv1 to fc3, and norm1 to norm4 where they were not folded away; IMAGES is float32 [N, 1, 28, 28]
and SCORES float32 [N, 10], both as plain bytes.
"""

import json
import struct
import sys

import torch
from torch import nn

DTYPES = {"F32": torch.float32, "I64": torch.int64}


def read_safetensors(name):
    with open(name, "rb") as file:
        data = file.read()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    tensors = {}
    for key, entry in header.items():
        begin, end = entry["data_offsets"]
        flat = torch.frombuffer(bytearray(data[8 + size + begin:8 + size + end]), dtype=DTYPES[entry["dtype"]])
        tensors[key] = flat.reshape(entry["shape"])
    return tensors


class LeNet5(nn.Module):
    def __init__(self, norms):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)
        if norms:
            self.norm1, self.norm2 = nn.BatchNorm2d(6), nn.BatchNorm2d(16)
            self.norm3, self.norm4 = nn.BatchNorm1d(120), nn.BatchNorm1d(84)
        else:
            self.norm1 = self.norm2 = self.norm3 = self.norm4 = nn.Identity()

    def forward(self, x):
        x = torch.max_pool2d(torch.relu(self.norm1(self.conv1(x))), 2)
        x = torch.max_pool2d(torch.relu(self.norm2(self.conv2(x))), 2).flatten(1)
        x = torch.relu(self.norm3(self.fc1(x)))
        return self.fc3(torch.relu(self.norm4(self.fc2(x))))


weights, images, scores = sys.argv[1:]
state = read_safetensors(weights)
network = LeNet5(norms="norm1.running_mean" in state)
network.load_state_dict(state)  # strict: every key, no other
network.eval()
with open(images, "rb") as file:
    batch = torch.frombuffer(bytearray(file.read()), dtype=torch.float32).reshape(-1, 1, 28, 28)
with open(scores, "rb") as file:
    expected = torch.frombuffer(bytearray(file.read()), dtype=torch.float32).reshape(-1, 10)
with torch.no_grad():
    gap = (network(batch) - expected).abs().max().item()
print(f"{gap:.3g}")
sys.exit(0 if gap < 1e-4 else 1)
