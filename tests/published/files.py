"""Files as OIMNet++, SeqNet and NAE publish them, narrow and random.

Keys and shapes are those of modules with torchvision's names: a ResNet-50
whose stem has ``WIDTH`` channels instead of 64.
"""

import functools
import io
import pickle
import pickletools
import struct
from collections import Counter

import torch
from torch import nn

WIDTH = 2
C4, C5 = 16 * WIDTH, 32 * WIDTH
#: Halves of an embedding.
D4, D5 = 3, 5
ROWS = {'cuhk-sysu': 5532, 'prw': 482}


class Bottleneck(nn.Module):
    def __init__(self, into, narrow, first):
        super().__init__()
        self.conv1 = nn.Conv2d(into, narrow, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(narrow)
        self.conv2 = nn.Conv2d(narrow, narrow, 3, bias=False)
        self.bn2 = nn.BatchNorm2d(narrow)
        self.conv3 = nn.Conv2d(narrow, 4 * narrow, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * narrow)
        if first:
            self.downsample = nn.Sequential(
                nn.Conv2d(into, 4 * narrow, 1, bias=False),
                nn.BatchNorm2d(4 * narrow),
            )


class Memory(nn.Module):
    """Table and queue of OIM."""

    def __init__(self, rows, size, dtype=torch.float32):
        super().__init__()
        self.register_buffer('lut', torch.empty(rows, size, dtype=dtype))
        self.register_buffer('cq', torch.empty(7, size, dtype=dtype))


def tree(**parts):
    """Modules by name."""
    return nn.ModuleDict(parts)


def stage(number):
    narrow = WIDTH * 2 ** (number - 1)
    into = WIDTH if number == 1 else 2 * narrow
    blocks = (3, 4, 6, 3)[number - 1]
    return nn.Sequential(
        Bottleneck(into, narrow, True),
        *(Bottleneck(4 * narrow, narrow, False) for _ in range(blocks - 1)),
    )


def detector(anchors, roi_heads, respelt):
    conv = nn.Conv2d(C4, C4, 3)
    if respelt:
        conv = nn.Sequential(nn.Sequential(conv, nn.ReLU()))
    return tree(
        backbone=tree(
            conv1=nn.Conv2d(3, WIDTH, 7, bias=False),
            bn1=nn.BatchNorm2d(WIDTH),
            layer1=stage(1),
            layer2=stage(2),
            layer3=stage(3),
        ),
        rpn=tree(
            head=tree(
                conv=conv,
                cls_logits=nn.Conv2d(C4, anchors, 1),
                bbox_pred=nn.Conv2d(C4, 4 * anchors, 1),
            )
        ),
        roi_heads=roi_heads,
    )


def trunk():
    return tree(layer4=stage(4))


def classes_and_boxes():
    return tree(cls_score=nn.Linear(C5, 2), bbox_pred=nn.Linear(C5, 8))


def box_neck():
    return nn.Sequential(nn.Linear(C5, 8), nn.BatchNorm1d(8))


def norm_aware():
    def project(into, size):
        return nn.Sequential(nn.Linear(into, size), nn.BatchNorm1d(size))

    return tree(
        projectors=tree(feat_res4=project(C4, D4), feat_res5=project(C5, D5)),
        rescaler=nn.BatchNorm1d(1),
    )


def oimnetpp(rows, respelt):
    heads = tree(
        box_head=trunk(),  # left over
        faster_rcnn_predictor=classes_and_boxes(),  # left over
        reid_head=trunk(),
        box_predictor=tree(
            bbox_cls=nn.Linear(C5, 2), bbox_pred=nn.Linear(C5, 8)
        ),
        embedding_head=tree(
            projectors=tree(
                feat_res5=nn.Sequential(
                    nn.Linear(C5, D5, bias=False),
                    nn.BatchNorm1d(D5, affine=False),
                )
            )
        ),
        reid_loss=Memory(rows, D5, torch.float16),
    )
    return detector(9, heads, respelt)


def seqnet(rows, respelt):
    heads = tree(
        box_head=trunk(),
        faster_rcnn_predictor=classes_and_boxes(),
        reid_head=trunk(),
        box_predictor=tree(bbox_pred=box_neck()),
        embedding_head=norm_aware(),
        reid_loss=Memory(rows, D4 + D5),
    )
    return detector(15, heads, respelt)


def nae(rows, respelt):
    heads = tree(
        box_head=trunk(),
        box_predictor=tree(
            cls_score=nn.Linear(C5, 2),  # left over
            bbox_pred=box_neck(),
        ),
        embedding_head=norm_aware(),
        reid_loss=Memory(rows, D4 + D5),
    )
    return detector(15, heads, respelt)


BUILD = {'oimnetpp': oimnetpp, 'seqnet': seqnet, 'nae': nae}


def weights_of(network, dataset='cuhk-sysu', respelt=True, rows=None):
    """The tensors of a published network, which are not to be written to."""
    return dict(_weights(network, dataset, respelt, rows))


@functools.cache
def _weights(network, dataset, respelt, rows):
    model = BUILD[network](rows or ROWS[dataset], respelt)
    state = model.state_dict()
    for number, (key, value) in enumerate(state.items()):
        if key.endswith('num_batches_tracked'):
            value.fill_(number)
        else:
            value.normal_()
        if key.endswith('running_var'):
            value.abs_()
    if dataset == 'prw':  # nobody of the training half has the number 479
        state['roi_heads.reid_loss.lut'][478] = 0
    return state


def checkpoint_of(weights):
    """What their training writes, beside the weights."""
    parameter = nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([parameter], lr=0.003, momentum=0.9)
    parameter.sum().backward()
    optimizer.step()
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [16])
    assert isinstance(schedule.state_dict()['milestones'], Counter)
    return dict(
        model=weights,
        optimizer=optimizer.state_dict(),
        lr_scheduler=schedule.state_dict(),
        epoch=19,
    )


def save_old(content, path):
    """Write a file as torch before 1.6 did, which has no checksums."""
    torch.save(content, path, _use_new_zipfile_serialization=False)


def python2(content):
    """An old file as Python 2 writes it: its strings are bytes."""
    source, parts = io.BytesIO(content), []
    for _ in range(5):  # magic number, version, system, content, storages
        start = source.tell()
        operations = list(pickletools.genops(source))
        end = source.tell()
        places = [place for _, _, place in operations] + [end]
        for (operation, value, place), following in zip(
            operations, places[1:], strict=True
        ):
            # a position is that within the stream
            raw = content[place:following]
            if operation.name == 'BINUNICODE':
                text = value.encode()
                raw = b'U' + struct.pack('<B', len(text)) + text
            parts.append(raw)
        assert start < end
    return b''.join(parts) + content[source.tell() :]


class Code:
    """Runs something when a careless reader meets it."""

    def __reduce__(self):
        return (pickle.loads, (pickle.dumps(0),))
