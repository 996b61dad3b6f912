"""Operators of detection by torchvision, for comparison: what goes in and what comes out.

usage: torchvision_ops.py FOLDER

Leaves ops.pth: tensors by name.
"""

import os
import sys

import torch
from torchvision.models.detection import _utils, anchor_utils, image_list, roi_heads
from torchvision.ops import boxes as box_ops
from torchvision.ops import roi_align


def random_boxes(count, width=200.0, height=160.0, least=1.0):
    corner = torch.rand(count, 2) * torch.tensor([width, height]) * 0.8
    size = least + torch.rand(count, 2) * torch.tensor([width, height]) * 0.3
    return torch.cat([corner, corner + size], dim=1)


def region_averages(out):
    x = torch.randn(2, 19, 10, 13, requires_grad=True)
    rois = torch.cat([torch.randint(0, 2, (40, 1)).float(), random_boxes(40, 230.0, 200.0)], dim=1)
    rois[0, 1:] = torch.tensor([5.0, 5.0, 5.0, 5.0])
    rois[1, 1:] = torch.tensor([-50.0, -40.0, 20.0, 30.0])
    rois[2, 1:] = torch.tensor([30.0, 30.0, 20.0, 20.0])
    dy = torch.randn(40, 19, 7, 6)
    out.update({"roi.x": x, "roi.rois": rois, "roi.dy": dy})
    for aligned in (0, 1):
        for ratio in (0, 2):
            y = roi_align(x, rois, (7, 6), 1.0 / 16, ratio, bool(aligned))
            (dx,) = torch.autograd.grad(y, x, dy)
            out.update({f"roi.y.{aligned}.{ratio}": y, f"roi.dx.{aligned}.{ratio}": dx})


def boxes_and_scores(out):
    boxes, truths = random_boxes(600), random_boxes(8)
    scores = (torch.rand(600) * 50).floor() / 50  # ties
    scores = scores + torch.arange(600) * -1e-6  # which torchvision's sort may order as it likes
    groups = torch.randint(0, 4, (600,))
    out.update({"boxes": boxes, "truths": truths, "scores": scores, "groups": groups})
    out["iou"] = box_ops.box_iou(boxes, truths)
    for threshold in (3, 5, 7):
        out[f"nms.{threshold}"] = box_ops.nms(boxes, scores, threshold / 10)
        out[f"batched_nms.{threshold}"] = box_ops.batched_nms(boxes, scores, groups, threshold / 10)
    coder = _utils.BoxCoder((10.0, 10.0, 5.0, 5.0))
    other = random_boxes(600)
    deltas = torch.randn(600, 12) * 4
    out.update({"other": other, "encoded": coder.encode([boxes], [other])[0], "deltas": deltas})
    out["decoded"] = coder.decode(deltas, [other]).reshape(600, 12)
    out["clipped"] = box_ops.clip_boxes_to_image(boxes * 2 - 90, (100, 120))
    out["kept"] = box_ops.remove_small_boxes(out["clipped"], 1.0)
    for low in (0, 1):
        out[f"matched.{low}"] = _utils.Matcher(0.7, 0.3, bool(low))(box_ops.box_iou(truths, boxes))


def anchors(out):
    generator = anchor_utils.AnchorGenerator(((32, 64, 128, 256, 512),), ((0.5, 1.0, 2.0),))
    pictures = image_list.ImageList(torch.zeros(1, 3, 112, 160), [(112, 160)])
    out["anchors"] = generator(pictures, [torch.zeros(1, 1, 7, 10)])[0]


def masks(out):
    boxes = random_boxes(20, 80.0, 60.0, 8.0) - 10
    cells = (torch.arange(14.0) + 0.5) / 14 * 2 - 1
    radius = 0.4 + 0.5 * torch.rand(20, 2, 1, 1)  # ellipses, whose edges are soft
    square = (cells[:, None] / radius[:, 0]) ** 2 + (cells[None, :] / radius[:, 1]) ** 2
    given = torch.sigmoid(4 * (1 - square))[:, None]
    out.update({"mask.boxes": boxes, "masks": given[:, 0]})
    out["pasted"] = (roi_heads.paste_masks_in_image(given, boxes, (60, 80))[:, 0] >= 0.5).long()


def main():
    torch.manual_seed(5)
    out = {}
    for make in (region_averages, boxes_and_scores, anchors, masks):
        make(out)
    torch.save({name: value.detach().clone() for name, value in out.items()}, os.path.join(sys.argv[1], "ops.pth"))


main()
