"""A Mask R-CNN of the C4 kind made of torchvision's parts, for comparison: its weights, losses and detections.

usage: torchvision_mask_rcnn.py FOLDER

Leaves mask_rcnn.pth: its state under "state.", under refnorm's names, and tensors by name. The network is a
ResNet-18 up to layer3 with frozen batch norms, layer4 on each region. All anchors and regions are learned from, so
that nothing is drawn.
"""

import os
import sys

import torch
import torchvision
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.detection import anchor_utils, faster_rcnn, image_list, mask_rcnn, roi_heads, rpn
from torchvision.ops import FrozenBatchNorm2d, MultiScaleRoIAlign

CLASSES = 3
SIZES = [(96, 128), (80, 100)]
ALL = 100000


class Mean(torch.nn.Module):
    def __init__(self, layer4):
        super().__init__()
        self.layer4 = layer4

    def forward(self, x):
        return self.layer4(x).mean((2, 3))


def build():
    resnet = torchvision.models.resnet18(weights=None, norm_layer=FrozenBatchNorm2d)
    for module in resnet.modules():
        if isinstance(module, FrozenBatchNorm2d):
            module.weight.uniform_(0.5, 1.0)
            module.bias.uniform_(-0.2, 0.2)
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    body = IntermediateLayerGetter(resnet, {"layer3": "0"})
    generator = anchor_utils.AnchorGenerator(((16, 32, 64),), ((0.5, 1.0, 2.0),))
    head = rpn.RPNHead(256, 9)
    for layer in (head.cls_logits, head.bbox_pred):
        torch.nn.init.normal_(layer.weight, std=0.05)
    counts = {"training": 100, "testing": 200}, {"training": 20, "testing": 40}
    proposals = rpn.RegionProposalNetwork(generator, head, 0.7, 0.3, ALL, 0.5, *counts, 0.7)
    pool = MultiScaleRoIAlign(["0"], 14, sampling_ratio=0)
    heads = roi_heads.RoIHeads(
        pool, Mean(resnet.layer4), faster_rcnn.FastRCNNPredictor(512, CLASSES + 1), 0.5, 0.5, ALL, 0.25, None, 0.05,
        0.5, 25, pool, resnet.layer4, mask_rcnn.MaskRCNNPredictor(512, 32, CLASSES + 1))
    return body, proposals, heads


def state_of(body, proposals, heads):
    head, box, mask = proposals.head, heads.box_predictor, heads.mask_predictor
    parts = {"backbone": body, "rpn.conv": head.conv[0][0], "rpn.cls_logits": head.cls_logits,
             "rpn.bbox_pred": head.bbox_pred, "head.layer4": heads.mask_head, "head.cls_score": box.cls_score,
             "head.bbox_pred": box.bbox_pred, "head.mask_deconv": mask.conv5_mask,
             "head.mask_logits": mask.mask_fcn_logits}
    return {f"{name}.{key}": value for name, part in parts.items() for key, value in part.state_dict(keep_vars=True).items()}


def targets():
    made = []
    for boxes, labels in (([[8, 10, 40, 50], [60, 20, 110, 90], [70, 5, 90, 30]], [1, 3, 2]), ([[20, 20, 70, 60]], [2])):
        masks = torch.zeros(len(boxes), 96, 128, dtype=torch.uint8)
        for mask, (x1, y1, x2, y2) in zip(masks, boxes):
            mask[y1 : (y1 + 2 * y2) // 3, x1:x2] = 1  # the upper part
            mask[y1:y2, x1 : (x1 + x2) // 2] = 1
        made.append({"boxes": torch.tensor(boxes, dtype=torch.float32), "labels": torch.tensor(labels), "masks": masks})
    return made


def main():
    torch.manual_seed(11)
    body, proposals, heads = build()
    state = state_of(body, proposals, heads)
    pictures = torch.randn(2, 3, 96, 128)
    pictures[1, :, 80:] = 0
    pictures[1, :, :, 100:] = 0
    images = image_list.ImageList(pictures, SIZES)
    out = {f"state.{name}": value for name, value in state.items()}
    out["pictures"] = pictures
    wanted = targets()
    for i, target in enumerate(wanted):
        out.update({f"target.{i}.boxes": target["boxes"], f"target.{i}.labels": target["labels"],
                    f"target.{i}.masks": target["masks"].float()})

    for module in (body, proposals, heads):
        module.train()
    features = body(pictures)
    boxes, losses = proposals(images, features, wanted)
    _, more = heads(features, boxes, SIZES, wanted)
    losses.update(more)
    out.update(losses)
    sum(losses.values()).backward()
    for name in ("backbone.conv1.weight", "rpn.conv.weight", "head.layer4.0.conv1.weight", "head.mask_deconv.weight"):
        out["grad." + name] = state[name].grad

    for module in (body, proposals, heads):
        module.eval()
    with torch.no_grad():
        features = body(pictures)
        out["features"] = features["0"]
        boxes, _ = proposals(images, features)
        found, _ = heads(features, boxes, SIZES)
    for i in range(2):
        out[f"proposals.{i}"] = boxes[i]
        out.update({f"found.{i}.{key}": value for key, value in found[i].items()})
    print({key: value.item() for key, value in losses.items()}, [len(f["scores"]) for f in found])
    torch.save({key: value.detach().clone() for key, value in out.items()}, os.path.join(sys.argv[1], "mask_rcnn.pth"))


main()
