#!/usr/bin/env python3
"""An image folder to time loaders with: FOLDER/train/CLASS/*.jpg and one picture a class in FOLDER/val. The pictures are
noise of all scales, coarse ones stronger, which JPEG compresses about as well as photographs of that size.
bench/folder_throughput runs it.
"""

import argparse
import json
import os

import numpy
from PIL import Image

CLASSES = 10
FALL = 0.2  # how fast finer scales become weaker: so that 500 x 375 at quality 90 take about ImageNet's 110 KB


def noise(random, width, height):
    total = numpy.zeros((height, width, 3), numpy.float32)
    scale = 2
    while scale < 2 * max(width, height):
        coarse = random.normal(size=(3, min(scale, height), min(scale, width))).astype(numpy.float32)
        for channel in range(3):
            layer = Image.fromarray(coarse[channel]).resize((width, height), Image.BICUBIC)
            total[..., channel] += numpy.asarray(layer) * scale**-FALL
        scale *= 2
    total = (total - total.mean()) / total.std() * 50 + 120
    return Image.fromarray(total.clip(0, 255).astype(numpy.uint8))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder")
    parser.add_argument("--images", type=int, default=640)
    parser.add_argument("--width", type=int, default=500)
    parser.add_argument("--height", type=int, default=375)
    parser.add_argument("--quality", type=int, default=90)
    arguments = parser.parse_args()
    random = numpy.random.default_rng(1)
    sizes = []
    for number in range(arguments.images + CLASSES):
        part, place = ("val", number - arguments.images) if number >= arguments.images else ("train", number)
        folder = os.path.join(arguments.folder, part, f"class{place % CLASSES}")
        os.makedirs(folder, exist_ok=True)
        sides = (arguments.width, arguments.height)
        # A quarter of ImageNet's pictures stand upright.
        picture = noise(random, *(sides if number % 4 else sides[::-1]))
        file = os.path.join(folder, f"{place}.jpg")
        picture.save(file, quality=arguments.quality)
        sizes.append(os.path.getsize(file))
    print(json.dumps({"images": arguments.images, "mean_kib": sum(sizes) / len(sizes) / 1024}))


main()
