#!/usr/bin/env python3
"""Reading an image folder with torchvision, the work of `refnorm bench data`: ImageFolder and DataLoader,
RandomResizedCrop, RandomHorizontalFlip, ToTensor, Normalize. The worker processes are started, and files read, before
the clock is. Prints one line of JSON. bench/folder_throughput runs it.
"""

import argparse
import json
import os
import time

import torch
import torchvision
from torchvision import transforms


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--size", type=int, default=224)
    arguments = parser.parse_args()
    torch.manual_seed(1)
    look = transforms.Compose([
        transforms.RandomResizedCrop(arguments.size),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ])
    pictures = torchvision.datasets.ImageFolder(os.path.join(arguments.folder, "train"), look)
    loader = torch.utils.data.DataLoader(pictures, arguments.batch_size, shuffle=True, num_workers=arguments.workers,
                                         drop_last=True, persistent_workers=arguments.workers > 0)
    for _ in loader:
        pass
    begun = time.perf_counter()
    images = 0
    for batch, _ in loader:
        images += len(batch)
    seconds = time.perf_counter() - begun
    print(json.dumps({"images_per_second": images / seconds, "torchvision": torchvision.__version__,
                      "torch": torch.__version__}))


main()
