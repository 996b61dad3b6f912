"""What torchvision makes of pictures: torchvision_looks.py TASKS.json; each task writes raw numbers to its file."""

import json
import sys

import numpy
import torch
from PIL import Image
from torchvision import transforms
from torchvision.transforms import functional as F


def write(path, tensor):
    tensor.numpy().astype("<f4").tofile(path)


def training(task):
    """Of a given crop; on 0 … 255."""
    picture = Image.open(task["file"]).convert("RGB")
    top, left, height, width = task["crop"]
    picture = F.resized_crop(picture, top, left, height, width, [task["size"]] * 2)
    if task["flip"]:
        picture = F.hflip(picture)
    write(task["out"], torch.from_numpy(numpy.asarray(picture).transpose(2, 0, 1).copy()))


def evaluation(task):
    look = transforms.Compose([transforms.Resize(task["resize"]), transforms.CenterCrop(task["size"])])
    picture = look(Image.open(task["file"]).convert("RGB"))
    write(task["out"], torch.from_numpy(numpy.asarray(picture).transpose(2, 0, 1).copy()))


def colours(task):
    """A chain of changes of [3, H, W] in 0 … 1."""
    picture = torch.tensor(task["picture"]).reshape(3, 1, -1)
    for name, amount in task["changes"]:
        picture = getattr(F, "adjust_" + name)(picture, amount)
    write(task["out"], picture)


def cmyk(task):
    """Writes the picture, inverted as Photoshop's are, and what Pillow reads of it."""
    ramp = numpy.linspace(0, 255, 256 * 4).reshape(16, 16, 4).astype("uint8")
    ramp[..., 3] //= 2
    Image.fromarray(ramp, "CMYK").resize((64, 64), Image.BICUBIC).save(task["file"], quality=98)
    evaluation(task)


class Given:
    """Stands in place of torch.empty: what it makes takes the next of given numbers of 0 … 1 for a uniform draw."""

    def __init__(self, numbers):
        self.numbers = iter(numbers)

    def __call__(self, _):
        return self

    def uniform_(self, low, high):
        return torch.tensor([low + (high - low) * next(self.numbers)])


def crops(task):
    """Height and width of RandomResizedCrop's crops, from the numbers that are drawn; place where it falls back."""
    found = []
    for height, width, numbers in task["draws"]:
        empty, torch.empty = torch.empty, Given(numbers)
        try:
            picture = Image.new("L", (width, height))
            crop = transforms.RandomResizedCrop.get_params(picture, task["scale"], task["ratio"])
        except StopIteration:
            crop = None
        finally:
            torch.empty = empty
        found.append([-1] * 4 if crop is None else [int(number) for number in crop])
    write(task["out"], torch.tensor(found, dtype=torch.float))


for one in json.load(open(sys.argv[1])):
    {"training": training, "evaluation": evaluation, "colours": colours, "crops": crops, "cmyk": cmyk}[one["kind"]](one)
