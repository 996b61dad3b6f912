#!/usr/bin/env python3
"""ResNet-50 training in PyTorch, the work of `refnorm bench train --model resnet50`: torchvision's network with batch
norm, SGD with momentum and weight decay, one batch of random pictures in memory, loss and accuracy read at each step.
Prints one line of JSON. bench/resnet50_throughput runs it.
"""

import argparse
import json
import resource
import statistics
import time

import torch
import torchvision
from torch.nn import functional


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--memory-format", choices=["contiguous", "channels_last"], default="contiguous")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--steps", type=int, default=3)
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    channels_last = arguments.memory_format == "channels_last"
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    model = torchvision.models.resnet50(weights=None).to(arguments.device, memory_format=memory_format)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    images = torch.randn(arguments.batch_size, 3, arguments.side, arguments.side)
    images = images.to(arguments.device, memory_format=memory_format)
    labels = torch.randint(1000, (arguments.batch_size,)).to(arguments.device)

    def step():
        with torch.autocast(arguments.device, dtype=torch.bfloat16, enabled=arguments.precision == "bf16"):
            scores = model(images)
        loss = functional.cross_entropy(scores.float(), labels)
        loss.item()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        (scores.argmax(1) == labels).sum().item()

    model.train()
    for _ in range(5 if arguments.device == "cuda" else 1):
        step()
    seconds = []
    for _ in range(arguments.steps):
        begun = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - begun)
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({
        "seconds_per_step": statistics.median(seconds),
        "images_per_second": arguments.batch_size / statistics.median(seconds),
        "max_mib": torch.cuda.max_memory_allocated() / 2**20 if arguments.device == "cuda" else resident / 1024,
        "torch": torch.__version__,
    }))


main()
