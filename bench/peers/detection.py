#!/usr/bin/env python3
"""Detection's operators, and the parts of a C4 Mask R-CNN, in PyTorch with torchvision: the work of `refnorm bench
detection`, part by part under the same names. Prints one line of JSON. bench/detection_throughput runs it.
"""

import argparse
import json
import resource
import time

import torch
import torchvision
from torch.nn import functional
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.detection import (_utils, anchor_utils, faster_rcnn, image_list, mask_rcnn, roi_heads, rpn)
from torchvision.ops import FrozenBatchNorm2d, MultiScaleRoIAlign, boxes as box_ops, roi_align

CLASSES = 81


class Times:
    def __init__(self):
        self.parts = {}

    def of(self, part, work):
        begun = time.perf_counter()
        result = work()
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()
        self.parts.setdefault(part, []).append(time.perf_counter() - begun)
        return result

    def document(self):
        return [{"part": part, "seconds": seconds} for part, seconds in self.parts.items()]


def random_boxes(count, height, width):
    whole = torch.tensor([width, height], dtype=torch.float32)
    corner = torch.rand(count, 2) * 0.9 * whole
    boxes = torch.cat([corner, corner + 8 + torch.rand(count, 2).square() * 0.5 * whole], 1)
    return box_ops.clip_boxes_to_image(boxes, (height, width))


class Mean(torch.nn.Module):
    def __init__(self, layer4):
        super().__init__()
        self.layer4 = layer4

    def forward(self, x):
        return self.layer4(x).mean((2, 3))


class Detector:
    def __init__(self, args):
        torch.manual_seed(1)
        self.args = args
        self.format = torch.channels_last if args.memory_format == "channels_last" else torch.contiguous_format
        resnet = getattr(torchvision.models, f"resnet{args.depth}")(weights=None, norm_layer=FrozenBatchNorm2d)
        for frozen in (resnet.conv1, resnet.layer1):
            frozen.requires_grad_(False)
        self.body = IntermediateLayerGetter(resnet, {"layer3": "0"})
        generator = anchor_utils.AnchorGenerator(((32, 64, 128, 256, 512),), ((0.5, 1.0, 2.0),))
        channels = resnet.layer3[-1].conv1.in_channels if args.depth < 50 else 1024
        out = 512 if args.depth < 50 else 2048
        self.rpn = rpn.RegionProposalNetwork(
            generator, rpn.RPNHead(channels, 15), 0.7, 0.3, 256, 0.5, {"training": 12000, "testing": 6000},
            {"training": 2000, "testing": args.proposals}, 0.7)
        self.layer4 = resnet.layer4
        pool = MultiScaleRoIAlign(["0"], 14, 0)
        self.heads = roi_heads.RoIHeads(
            pool, Mean(resnet.layer4), faster_rcnn.FastRCNNPredictor(out, CLASSES), 0.5, 0.5, args.regions, 0.25, None, 0.0,
            0.5, 100, pool, resnet.layer4, mask_rcnn.MaskRCNNPredictor(out, 256, CLASSES))
        # Proposals are the anchors, and every class scores alike: as many proposals and detections as may be.
        for layer in (self.rpn.head.bbox_pred, self.heads.box_predictor.cls_score, self.heads.box_predictor.bbox_pred):
            torch.nn.init.zeros_(layer.weight)
            torch.nn.init.zeros_(layer.bias)
        for module in (self.body, self.rpn, self.heads):
            module.to(args.device, memory_format=self.format)
        padded = [(side + 31) // 32 * 32 for side in (args.height, args.width)]
        self.size = (args.height, args.width)
        self.sizes = [self.size] * args.batch_size
        pictures = torch.randn(args.batch_size, 3, *padded).to(args.device, memory_format=self.format)
        self.images = image_list.ImageList(pictures, self.sizes)
        self.targets = []
        for _ in range(args.batch_size):
            masks = torch.zeros(args.truths, *self.size, dtype=torch.uint8)
            masks[:, : args.height // 2] = 1
            target = {"boxes": random_boxes(args.truths, *self.size),
                      "labels": torch.randint(1, CLASSES, (args.truths,)), "masks": masks}
            self.targets.append({key: value.to(args.device) for key, value in target.items()})

    def autocast(self):
        return torch.autocast(self.args.device, dtype=torch.bfloat16, enabled=self.args.precision == "bf16")

    def operators(self, times):
        torch.manual_seed(2)
        device = self.args.device
        rows, columns = (side // 16 for side in self.images.tensors.shape[-2:])
        # Its RoIAlign has no bfloat16 on CPUs.
        features = torch.randn(1, 1024, rows, columns).to(device, memory_format=self.format).requires_grad_(True)
        boxes = random_boxes(self.args.regions, *self.size).to(device)
        y = times.of("RoIAlign", lambda: roi_align(features, [boxes], 14, 1 / 16, -1, True))
        dy = torch.ones_like(y)
        times.of("RoIAlign, backward", lambda: y.backward(dy))
        generator = self.rpn.anchor_generator
        anchors = times.of("anchors", lambda: generator(self.images, [features])[0])
        truths = self.targets[0]["boxes"]
        times.of("IoU of anchors", lambda: box_ops.box_iou(truths, anchors))
        matcher = _utils.Matcher(0.7, 0.3, True)
        times.of("matching of anchors", lambda: matcher(box_ops.box_iou(truths, anchors)))
        boxes, scores = random_boxes(12000, *self.size).to(device), torch.rand(12000).to(device)
        coder = _utils.BoxCoder((1.0, 1.0, 1.0, 1.0))
        times.of("decoding of 12000 boxes", lambda: coder.decode(torch.zeros(12000, 4, device=device), [boxes]))
        times.of("suppression of 12000 boxes", lambda: box_ops.nms(boxes, scores, 0.7)[:2000])
        groups = torch.randint(80, (12000,)).to(device)
        times.of("suppression by class", lambda: box_ops.batched_nms(boxes, scores, groups, 0.5)[:100])
        masks = torch.rand(100, 1, 14, 14).to(device)
        times.of("pasting of 100 masks",
                 lambda: roi_heads.paste_masks_in_image(masks, boxes[:100], self.size) >= 0.5)

    def propose(self, scores, deltas, anchors):
        proposals = self.rpn.box_coder.decode(deltas.detach(), anchors).view(len(anchors), -1, 4)
        return self.rpn.filter_proposals(proposals, scores, self.sizes, [anchors[0].shape[0]])[0]

    def through_rpn(self, features):
        scores, deltas = self.rpn.head([features])
        anchors = self.rpn.anchor_generator(self.images, [features.float()])
        scores, deltas = rpn.concat_box_prediction_layers([s.float() for s in scores], [d.float() for d in deltas])
        return scores, deltas, anchors

    def rpn_losses(self, scores, deltas, anchors):
        labels, matched = self.rpn.assign_targets_to_anchors(anchors, self.targets)
        wanted = self.rpn.box_coder.encode(matched, anchors)
        return sum(self.rpn.compute_loss(scores, deltas, labels, wanted))

    def align(self, features, boxes):
        # In float32, as torchvision's has no bfloat16 on CPUs.
        return roi_align(features.float(), boxes, 14, 1 / 16, -1, True)

    def head_losses(self, conv5, sample):
        boxes, matched, labels, wanted = sample
        scores, deltas = self.heads.box_predictor(conv5.mean((2, 3)))
        loss = sum(roi_heads.fastrcnn_loss(scores.float(), deltas.float(), labels, wanted))
        foreground = [torch.where(label > 0)[0] for label in labels]
        logits = self.heads.mask_predictor(conv5[torch.where(torch.cat(labels) > 0)[0]]).float()
        return loss + roi_heads.maskrcnn_loss(
            logits, [b[f] for b, f in zip(boxes, foreground)], [t["masks"] for t in self.targets],
            [t["labels"] for t in self.targets], [m[f] for m, f in zip(matched, foreground)])

    def training(self, times):
        for module in (self.body, self.rpn, self.heads):
            module.train()
            module.zero_grad(set_to_none=True)
        with self.autocast():
            features = times.of("backbone", lambda: self.body(self.images.tensors))["0"]
            out = times.of("RPN", lambda: self.through_rpn(features))
            first = times.of("RPN, losses", lambda: self.rpn_losses(*out))
            with torch.no_grad():
                proposals = times.of("proposals", lambda: self.propose(*out))
                sample = times.of("sampling", lambda: self.heads.select_training_samples(proposals, self.targets))
            rois = times.of("RoIAlign", lambda: self.align(features, sample[0]))
            conv5 = times.of("conv5", lambda: self.layer4(rois))
            more = times.of("heads, losses", lambda: self.head_losses(conv5, sample))
        times.of("backward", lambda: (first + more).backward())

    @torch.no_grad()
    def inference(self, times):
        for module in (self.body, self.rpn, self.heads):
            module.eval()
        with self.autocast():
            features = times.of("backbone", lambda: self.body(self.images.tensors))["0"]
            out = times.of("RPN", lambda: self.through_rpn(features))
            boxes = times.of("proposals", lambda: self.propose(*out))[0]

            def box_head():
                mean = self.layer4(self.align(features[:1], [boxes])).mean((2, 3))
                return [each.float() for each in self.heads.box_predictor(mean)]

            scores, deltas = times.of("RoIAlign, conv5, box head", box_head)
            found = times.of("choice of detections",
                             lambda: self.heads.postprocess_detections(scores, deltas, [boxes], [self.size]))
            chosen = found[0][0]
            masks = times.of("RoIAlign, conv5, mask head", lambda: self.heads.mask_predictor(
                self.layer4(self.align(features[:1], [chosen])))[:, 1:2].float().sigmoid())
            times.of("pasting of masks", lambda: roi_heads.paste_masks_in_image(masks, chosen, self.size) >= 0.5)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("depth", 50), ("batch-size", 1), ("height", 800), ("width", 1333), ("regions", 512),
                          ("proposals", 1000), ("truths", 10), ("rounds", 3), ("threads", torch.get_num_threads())):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--memory-format", choices=["contiguous", "channels_last"], default="contiguous")
    parser.add_argument("--what", action="append", choices=["operators", "training", "inference"])
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    detector = Detector(args)
    document = {"torch": torch.__version__, "torchvision": torchvision.__version__}
    for what in args.what or ["operators", "training", "inference"]:
        for number in range(args.rounds + 1):
            if number <= 1:
                times = Times()  # the first round warms up
            getattr(detector, what)(times)
        document[what] = times.document()
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    document["max_mib"] = torch.cuda.max_memory_allocated() / 2**20 if args.device == "cuda" else resident / 1024
    print(json.dumps(document))


main()
