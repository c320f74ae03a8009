"""The networks of the field in the plainest way, from their formulas.

Nothing of mmps or mmdet is used: a ``state_dict``, loops, and torch's
convolution. Boxes are x1 y1 x2 y2 in pixels of the network's input.
"""

import math

import torch
import torch.nn.functional as F


def bn(x, weights, name):
    mean, var = weights[f'{name}.running_mean'], weights[f'{name}.running_var']
    shape = (1, -1, 1, 1) if x.dim() == 4 else (1, -1)
    y = (x - mean.view(shape)) / (var.view(shape) + 1e-5).sqrt()
    if f'{name}.weight' not in weights:
        return y
    scale, shift = weights[f'{name}.weight'], weights[f'{name}.bias']
    return y * scale.view(shape) + shift.view(shape)


def block(x, weights, name, stride):
    """A basic block, or a bottleneck if it has three convolutions."""
    deep = f'{name}.conv3.weight' in weights
    y = x
    for number in (1, 2, 3) if deep else (1, 2):
        kernel = weights[f'{name}.conv{number}.weight']
        at = 2 if deep else 1  # the stride is in the first 3 x 3 kernel
        y = F.conv2d(
            y,
            kernel,
            stride=stride if number == at else 1,
            padding=kernel.shape[-1] // 2,
        )
        y = bn(y, weights, f'{name}.bn{number}')
        if number < (3 if deep else 2):
            y = y.relu()
    if f'{name}.downsample.0.weight' in weights:
        x = F.conv2d(x, weights[f'{name}.downsample.0.weight'], stride=stride)
        x = bn(x, weights, f'{name}.downsample.1')
    return (x + y).relu()


def stage(x, weights, name, stride):
    number = 0
    while f'{name}.{number}.conv1.weight' in weights:
        x = block(x, weights, f'{name}.{number}', 1 if number else stride)
        number += 1
    assert number
    return x


def c4(x, weights):
    x = F.conv2d(x, weights['backbone.conv1.weight'], stride=2, padding=3)
    x = bn(x, weights, 'backbone.bn1').relu()
    x = F.max_pool2d(x, 3, 2, 1)
    for number, stride in ((1, 1), (2, 2), (3, 2)):
        x = stage(x, weights, f'backbone.layer{number}', stride)
    return x


def base_anchors(scales, ratios, cell=16):
    """Corners of whole pixels around a point, ratios outermost."""
    boxes = []
    for ratio in ratios:
        for scale in scales:
            height = cell * scale * math.sqrt(ratio)
            width = cell * scale / math.sqrt(ratio)
            corners = (-width / 2, -height / 2, width / 2, height / 2)
            boxes.append([float(round(corner)) for corner in corners])
    return boxes


def decode(box, delta, deviations, height, width):
    """A box moved by a delta, within a picture."""
    x1, y1, x2, y2 = box
    w, h = x2 - x1, y2 - y1
    dx, dy, dw, dh = (
        float(d) * s for d, s in zip(delta, deviations, strict=True)
    )
    limit = math.log(1000 / 16)
    x, y = x1 + w / 2 + dx * w, y1 + h / 2 + dy * h
    w = w * math.exp(max(-limit, min(dw, limit)))
    h = h * math.exp(max(-limit, min(dh, limit)))
    return [
        min(max(x - w / 2, 0), width),
        min(max(y - h / 2, 0), height),
        min(max(x + w / 2, 0), width),
        min(max(y + h / 2, 0), height),
    ]


def iou(a, b):
    w = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    h = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = sum((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b))
    return w * h / (areas - w * h) if areas > w * h else 0.0


def nms(boxes, scores, threshold, most):
    """Positions that stay, best first."""
    kept = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(iou(boxes[i], boxes[j]) <= threshold for j in kept):
            kept.append(i)
    return kept[:most]


def proposals(feature, weights, anchors, height, width, options):
    """Boxes of the RPN on one map (C, H, W)."""
    x = F.conv2d(
        feature[None],
        weights['rpn_head.rpn_conv.weight'],
        weights['rpn_head.rpn_conv.bias'],
        padding=1,
    ).relu()
    logits, deltas = (
        F.conv2d(x, weights[f'{name}.weight'], weights[f'{name}.bias'])[0]
        for name in ('rpn_head.rpn_cls', 'rpn_head.rpn_reg')
    )
    found = []
    for row in range(feature.shape[1]):
        for column in range(feature.shape[2]):
            for a, (x1, y1, x2, y2) in enumerate(anchors):
                x, y = 16 * column, 16 * row
                box = [x1 + x, y1 + y, x2 + x, y2 + y]
                delta = deltas[4 * a : 4 * a + 4, row, column]
                found.append((float(logits[a, row, column]), box, delta))
    found.sort(key=lambda one: -one[0])
    found = found[: options['nms_pre']]
    boxes = [
        decode(box, delta, (1, 1, 1, 1), height, width)
        for _, box, delta in found
    ]
    wide = [b[2] > b[0] and b[3] > b[1] for b in boxes]
    found = [one for one, good in zip(found, wide, strict=True) if good]
    boxes = [box for box, good in zip(boxes, wide, strict=True) if good]
    scores = [one[0] for one in found]
    return [boxes[i] for i in nms(boxes, scores, 0.7, options['max_per_img'])]


def at(feature, y, x):
    """(C,) between the cells of a map (C, H, W); nothing lies outside."""
    _, height, width = feature.shape
    if y < -1 or y > height or x < -1 or x > width:
        return feature.new_zeros(len(feature))
    y, x = (min(max(v, 0), n - 1) for v, n in ((y, height), (x, width)))
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    y, x = y - top, x - left
    upper = feature[:, top, left] * (1 - x) + feature[:, top, right] * x
    lower = feature[:, bottom, left] * (1 - x) + feature[:, bottom, right] * x
    return upper * (1 - y) + lower * y


def roi_align(feature, box, size):
    """(C, size, size): two by two samples a cell, corners not shifted."""
    x1, y1, x2, y2 = (side / 16 for side in box)
    w, h = max(x2 - x1, 1) / size, max(y2 - y1, 1) / size
    pooled = feature.new_zeros(len(feature), size, size)
    for row in range(size):
        for column in range(size):
            for dy in (0.25, 0.75):
                for dx in (0.25, 0.75):
                    y, x = y1 + (row + dy) * h, x1 + (column + dx) * w
                    pooled[:, row, column] += at(feature, y, x) / 4
    return pooled


def linear(x, weights, name):
    return x @ weights[f'{name}.weight'].T + weights[f'{name}.bias']


def strongest(regions):
    return regions.amax(dim=(2, 3))


def norm_aware(regions, after, weights):
    """Unit embeddings and the probability of being a person."""
    name = 'roi_head.oim_head'
    x = torch.cat(
        [
            bn(
                linear(part, weights, f'{name}.project_{depth}.fc'),
                weights,
                f'{name}.project_{depth}.bn',
            )
            for depth, part in (('c4', strongest(regions)), ('c5', after))
        ],
        dim=1,
    )
    length = (x * x).sum(dim=1, keepdim=True).sqrt()
    logit = bn(length, weights, f'{name}.rescale')
    return x / length, 1 / (1 + torch.exp(-logit[:, 0]))


def regions_of(feature, boxes, size):
    return torch.stack([roi_align(feature, box, size) for box in boxes])


def detections(boxes, scores, deltas, height, width, threshold, nms_at, most):
    """Refined boxes and positions of those that stay."""
    deviations = (0.1, 0.1, 0.2, 0.2)
    refined = [
        decode(box, delta, deviations, height, width)
        for box, delta in zip(boxes, deltas, strict=True)
    ]
    enough = [i for i, s in enumerate(scores.tolist()) if s >= threshold]
    kept = nms(
        [refined[i] for i in enough],
        [float(scores[i]) for i in enough],
        nms_at,
        most,
    )
    return refined, [enough[i] for i in kept]


def given(name, feature, boxes, weights, size):
    """Embeddings of boxes that somebody gives."""
    regions = regions_of(feature, boxes, size)
    stem = 'reid_stage' if name == 'seqnet' else 'shared_head'
    after = strongest(stage(regions, weights, f'roi_head.{stem}.layer4', 2))
    if name == 'oimnetpp':
        return plain_embedding(after, weights)
    return norm_aware(regions, after, weights)[0]


def plain_embedding(after, weights):
    x = linear(after, weights, 'roi_head.oim_head.fc')
    return F.normalize(bn(x, weights, 'roi_head.oim_head.norm'), dim=1)


def classified(feature, boxes, weights, size, height, width, options):
    """Vectors and scores of boxes, refined boxes, and which stay."""
    after = strongest(
        stage(
            regions_of(feature, boxes, size),
            weights,
            'roi_head.shared_head.layer4',
            2,
        )
    )
    scores = linear(after, weights, 'roi_head.bbox_head.fc_cls').softmax(1)
    deltas = linear(after, weights, 'roi_head.bbox_head.fc_reg')
    refined, kept = detections(
        boxes, scores[:, 0], deltas, height, width, **options
    )
    return after[kept], scores[kept, 0], [refined[i] for i in kept]


def oimnetpp(feature, boxes, weights, size, height, width, options):
    after, scores, refined = classified(
        feature, boxes, weights, size, height, width, options
    )
    return refined, scores, plain_embedding(after, weights)


def nae(feature, boxes, weights, size, height, width, options):
    regions = regions_of(feature, boxes, size)
    after = strongest(
        stage(regions, weights, 'roi_head.shared_head.layer4', 2)
    )
    embeddings, scores = norm_aware(regions, after, weights)
    deltas = bn(
        linear(after, weights, 'roi_head.bbox_head.fc_reg'),
        weights,
        'roi_head.bbox_head.bn',
    )
    refined, kept = detections(boxes, scores, deltas, height, width, **options)
    return [refined[i] for i in kept], scores[kept], embeddings[kept]


def seqnet(feature, boxes, weights, size, height, width, options):
    _, scores, first = classified(
        feature, boxes, weights, size, height, width, options
    )
    regions = regions_of(feature, first, size)
    after = strongest(stage(regions, weights, 'roi_head.reid_stage.layer4', 2))
    embeddings, _ = norm_aware(regions, after, weights)
    deltas = bn(
        linear(after, weights, 'roi_head.reid_bbox_head.fc_reg'),
        weights,
        'roi_head.reid_bbox_head.bn',
    )
    again = dict(threshold=0, nms_at=0.5, most=options['most'])
    refined, kept = detections(first, scores, deltas, height, width, **again)
    return [refined[i] for i in kept], scores[kept], embeddings[kept]
