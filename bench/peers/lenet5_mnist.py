#!/usr/bin/env python3
"""LeNet-5 on MNIST in PyTorch: the training that `refnorm train recipes/lenet5-mnist.toml` does, written as fast as
plain PyTorch allows. The same network (refnorm/models/lenet5.cpp: norms before each ReLU), the same SGD, the same
batches in memory as bytes and normalized one by one, the same accuracy count a step; loss and accuracy leave the
tensors at each step, as a log of them needs. Prints one line of JSON. bench/lenet5_throughput runs it.
"""

import argparse
import json
import os
import statistics
import struct
import sys
import time

import torch
from torch import nn
from torch.nn import functional

MEAN, DEVIATION = 0.1307, 0.3081
BATCH = 128


class LeNet5(nn.Module):
    def __init__(self, norm):
        super().__init__()
        if norm == "bn":
            norm2d, norm1d = nn.BatchNorm2d, nn.BatchNorm1d
        else:
            norm2d = norm1d = lambda channels: nn.Identity()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.norm1 = norm2d(6)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.norm2 = norm2d(16)
        self.fc1 = nn.Linear(400, 120)
        self.norm3 = norm1d(120)
        self.fc2 = nn.Linear(120, 84)
        self.norm4 = norm1d(84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        x = functional.max_pool2d(torch.relu(self.norm1(self.conv1(x))), 2)
        x = functional.max_pool2d(torch.relu(self.norm2(self.conv2(x))), 2).flatten(1)
        x = torch.relu(self.norm3(self.fc1(x)))
        x = torch.relu(self.norm4(self.fc2(x)))
        return self.fc3(x)


def fail(message):
    sys.exit(f"lenet5_mnist.py: error: {message}")


def read_idx(folder, name, dimensions):
    path = os.path.join(folder, name)
    try:
        with open(path, "rb") as file:
            raw = bytearray(file.read())
    except OSError as error:
        fail(f"{path}: {error.strerror}; `refnorm fetch mnist` gets it")
    head = 4 * (1 + dimensions)
    if len(raw) < head or struct.unpack(">I", raw[:4])[0] != 0x0800 + dimensions:
        fail(f"{path}: not an IDX file of {dimensions} dimensions")
    shape = struct.unpack(f">{dimensions}I", raw[4:head])
    values = torch.frombuffer(raw, dtype=torch.uint8, offset=head)
    if values.numel() != torch.Size(shape).numel():
        fail(f"{path}: its header announces other sizes than it holds")
    return values.reshape(shape)


def make_optimizer(model):
    norm_types = (nn.BatchNorm1d, nn.BatchNorm2d)
    of_norms = [p for m in model.modules() if isinstance(m, norm_types) for p in m.parameters()]
    norm_ids = {id(p) for p in of_norms}
    groups = [{"params": [p for p in model.parameters() if id(p) not in norm_ids], "weight_decay": 5e-4}]
    if of_norms:
        groups.append({"params": of_norms, "weight_decay": 0.0})
    return torch.optim.SGD(groups, lr=0.05, momentum=0.9)


def train(args):
    images = read_idx(args.data, "train-images-idx3-ubyte", 3).unsqueeze(1)
    labels = read_idx(args.data, "train-labels-idx1-ubyte", 1).long()
    torch.manual_seed(args.seed)
    held_in = torch.randperm(len(labels))[: min(args.samples, len(labels))]
    model = LeNet5(args.norm).train()
    optimizer = make_optimizer(model)

    chunk_rates, loss_sum, correct = [], 0.0, 0
    begun = chunk_begun = time.perf_counter()
    steps_in_epoch = len(held_in) // BATCH
    for step in range(args.steps):
        place = step % steps_in_epoch
        if place == 0:
            order = held_in[torch.randperm(len(held_in))]
        chosen = order[place * BATCH : (place + 1) * BATCH]
        x = images.index_select(0, chosen).float().mul_(1 / (255 * DEVIATION)).sub_(MEAN / DEVIATION)
        y = labels.index_select(0, chosen)
        scores = model(x)
        loss = functional.cross_entropy(scores, y)
        loss_sum += loss.item()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        correct += (scores.detach().argmax(1) == y).sum().item()
        if (step + 1) % args.chunk == 0:
            now = time.perf_counter()
            chunk_rates.append(args.chunk * BATCH / (now - chunk_begun))
            chunk_begun = now
    seconds = time.perf_counter() - begun
    return {
        "norm": args.norm,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "steps": args.steps,
        "seconds": seconds,
        "images_per_second": args.steps * BATCH / seconds,
        "images_per_second_median": statistics.median(chunk_rates or [args.steps * BATCH / seconds]),
        "mean_loss": loss_sum / args.steps,
        "train_accuracy_pct": 100 * correct / (args.steps * BATCH),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--norm", choices=["none", "bn"], default="bn", help="which network (default: bn)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="threads of PyTorch (default: 1)")
    parser.add_argument("--steps", type=int, default=429, metavar="N", help="training steps (default: 429, an epoch)")
    parser.add_argument("--samples", type=int, default=55000, metavar="N", help="training samples (default: 55000)")
    parser.add_argument("--chunk", type=int, default=20, metavar="N", help="steps of a timed chunk (default: 20)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="seed of weights and order (default: 1)")
    parser.add_argument("--data", default="data/mnist", metavar="DIR", help="MNIST's files (default: data/mnist)")
    args = parser.parse_args()
    for name in ("threads", "steps", "chunk", "samples"):
        if getattr(args, name) < 1:
            parser.error(f"--{name}: expected at least 1")
    if args.samples < BATCH:
        parser.error(f"--samples: expected at least a batch of {BATCH}")
    torch.set_num_threads(args.threads)
    print(json.dumps(train(args)))


if __name__ == "__main__":
    main()
