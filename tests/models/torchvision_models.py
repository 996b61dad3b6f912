"""Networks of torchvision, for comparison: their parameters, and what they compute.

usage: torchvision_models.py FOLDER

Leaves shapes.json (of each architecture, the names and shapes of its state in order) and, of some, NAME.pth: their
state under "state.", pictures, and scores in train() and in eval().
"""

import json
import os
import sys

import torch
import torchvision

ARCHITECTURES = ["resnet18", "resnet34", "resnet50", "resnet101", "vgg16_bn", "vgg16"]


def build(name, **options):
    return getattr(torchvision.models, name)(weights=None, **options)


def randomize(model):
    """Nothing is left at a value that hides it: gammas, betas and running statistics are of no pattern."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
            torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)


def save(folder, name, model, pictures, prefix=""):
    file = {f"state.{prefix}{key}": value.clone() for key, value in model.state_dict().items()}
    with torch.no_grad():
        model.eval()
        evaluated = model(pictures)
        model.train()
        file.update(pictures=pictures, evaluated=evaluated, trained=model(pictures))
    torch.save(file, os.path.join(folder, name + ".pth"))


def main():
    folder = sys.argv[1]
    torch.manual_seed(3)
    shapes = {}
    for name in ARCHITECTURES:
        with torch.no_grad():
            state = build(name, init_weights=False).state_dict() if name.startswith("vgg") else build(name).state_dict()
        shapes[name] = [[key, list(value.shape)] for key, value in state.items()]
    with open(os.path.join(folder, "shapes.json"), "w") as file:
        json.dump(shapes, file)
    for name in ("resnet18", "resnet50"):
        model = build(name, num_classes=7)
        randomize(model)
        save(folder, name, model, torch.randn(4, 3, 64, 64))
    for name in ("vgg16", "vgg16_bn"):
        features = build(name, init_weights=False).features
        randomize(features)
        save(folder, name, features, torch.randn(4, 3, 32, 32), prefix="features.")


main()
