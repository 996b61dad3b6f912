"""Cuts the objects of scenes that `refnorm fetch tuxpaint-coco` made out of them, for pre-training a backbone.

    python3 recipes/tuxpaint_crops.py data/tuxpaint-scenes data/tuxpaint-crops

TO/train/CLASS/*.jpg and TO/val/CLASS/*.jpg are an image folder: each object's box with a tenth of its larger side
around it, and, as class "nothing", boxes as large as every second object's, elsewhere in its picture, with little of
an object in them. Needs Pillow.
"""

import json
import os
import random
import shutil
import sys

from PIL import Image

TRIES = 20


def overlaps(a, b):
    """Whether the boxes (x, y, width, height) share three tenths of the smaller one."""
    shared = max(0, min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0]))
    shared *= max(0, min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1]))
    return shared >= 0.3 * min(a[2] * a[3], b[2] * b[3])


def elsewhere(size, taken, picture):
    """A box of that size that overlaps none of the taken ones, or None."""
    for _ in range(TRIES):
        x = random.uniform(0, picture.width - size[0])
        y = random.uniform(0, picture.height - size[1])
        box = (x, y, *size)
        if not any(overlaps(box, other) for other in taken):
            return box
    return None


def cut(picture, box):
    x, y, width, height = box
    margin = 0.1 * max(width, height)
    right, bottom = min(picture.width, x + width + margin), min(picture.height, y + height + margin)
    return picture.crop((max(0, x - margin), max(0, y - margin), right, bottom))


def main(source, target):
    if os.path.exists(target):
        sys.exit(f"{target}: is there already, expected a new folder")
    beside = target + ".tmp"
    shutil.rmtree(beside, ignore_errors=True)
    random.seed(1)
    for part in ("train", "val"):
        with open(f"{source}/annotations/instances_{part}.json", encoding="utf-8") as file:
            instances = json.load(file)
        names = {category["id"]: category["name"] for category in instances["categories"]}
        if "nothing" in names.values():
            sys.exit(f'{source}: has a category "nothing", which is what crops without an object are called')
        objects = {}
        for one in instances["annotations"]:
            objects.setdefault(one["image_id"], []).append((one["bbox"], names[one["category_id"]]))
        for image in instances["images"]:
            picture = Image.open(f"{source}/{part}/{image['file_name']}").convert("RGB")
            crops = objects.get(image["id"], [])
            boxes = [box for box, _ in crops]
            others = [elsewhere(box[2:], boxes, picture) for box in boxes[::2]]
            crops = crops + [(box, "nothing") for box in others if box is not None]
            for number, (box, name) in enumerate(crops):
                os.makedirs(f"{beside}/{part}/{name}", exist_ok=True)
                cut(picture, box).save(f"{beside}/{part}/{name}/{image['id']}-{number}.jpg", quality=95)
    os.rename(beside, target)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        main(sys.argv[1], sys.argv[2].rstrip("/"))
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"{sys.argv[1]}: not scenes that refnorm fetch tuxpaint-coco made ({error})")
