"""Loads exported weights by load_state_dict into LeNet-5 as PyTorch has it, and tests them.

    pytorch_loads.py FOLDED PLAIN IMAGES LABELS

FOLDED has the layers conv1 to fc3, PLAIN norm1 to norm4 beside them; IMAGES and LABELS are a test set's IDX files. Prints
{"gap": the largest difference between the two networks' scores, "test_error_pct": {"folded", "plain"}}.
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


def read_idx(name, header):
    with open(name, "rb") as file:
        return torch.frombuffer(bytearray(file.read())[header:], dtype=torch.uint8)


def load(name, norms):
    network = LeNet5(norms)
    network.load_state_dict(read_safetensors(name))  # strict: every key, and no other
    return network.eval()


folded, plain, images, labels = sys.argv[1:]
pixels = read_idx(images, 16).reshape(-1, 1, 28, 28).float() / 255
truth = read_idx(labels, 8).long()
with torch.no_grad():
    batch = (pixels - 0.1307) / 0.3081
    scores = {"folded": load(folded, False)(batch), "plain": load(plain, True)(batch)}
errors = {name: 100 * (found.argmax(1) != truth).double().mean().item() for name, found in scores.items()}
print(json.dumps({"gap": (scores["folded"] - scores["plain"]).abs().max().item(), "test_error_pct": errors}))
