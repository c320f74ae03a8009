"""What a network says of itself in its exported files."""

from collections.abc import Sequence

import numpy as np
import torch
from mmdet.models.task_modules import DeltaXYWHBBoxCoder
from torch import nn

from mmps import __version__
from mmps.errors import InputError
from mmps.inference.network import Network
from mmps.inference.onnx_metadata import (
    Anchors,
    Coder,
    Detections,
    Input,
    Metadata,
    Proposals,
    Resize,
    SecondHead,
)
from mmps.models import SequentialRoIHead

#: Steps of a test pipeline that change nothing of the picture.
_WITHOUT_PIXELS = (
    *('ClipPeople', 'LoadAnnotations', 'LoadTrackAnnotations'),
    'PackPersonSearchInputs',
)
_UNKNOWN_LICENSE = (
    'not stated; weights follow the terms of the pictures that they were '
    'trained on'
)


def metadata_of(network: Network, layout: str) -> Metadata:
    """Collect the metadata of a network in float32.

    Args:
        network: To be exported.
        layout: 'split' or 'single'.

    Raises:
        InputError: The network has a part that cannot be exported; says why.
    """
    model = network.model
    _check_exportable(network)
    rpn, head, entry = model.rpn_head, model.roi_head, network.entry
    generator, options = rpn.prior_generator, head.test_cfg
    second = None
    if isinstance(head, SequentialRoIHead):
        second = SecondHead(
            _coder(head.reid_bbox_head, network),
            options.reid_nms.iou_threshold,
            options.get('score', 'first'),
        )
    before = model.data_preprocessor
    known = {} if entry is None else entry.metadata
    return Metadata(
        part='single' if layout == 'single' else 'scene',
        layout=layout,
        network=network.name,
        fingerprint=network.fingerprint,
        precision='fp32',
        classes=('person',),
        embedding_size=head.oim_head.loss_oim.table.shape[1],
        det_thr=network.det_thr,
        match_threshold=network.match_threshold,
        training_data=known.get('Training Data'),
        license=known.get('Weights License', _UNKNOWN_LICENSE),
        made_by=f'mmps {__version__}, torch {torch.__version__}',
        resize=_resize(network),
        input=Input(
            order='bgr',
            mean=_numbers(before.mean),
            std=_numbers(before.std),
            trained_order='rgb' if before._channel_conversion else 'bgr',
            pad_divisor=before.pad_size_divisor,
        ),
        anchors=Anchors(
            tuple(map(_numbers, generator.base_anchors[0])),
            tuple(generator.strides[0]),
        ),
        proposals=Proposals(
            _coder(rpn, network),
            rpn.test_cfg.nms_pre,
            rpn.test_cfg.get('min_bbox_size', 0),
            rpn.test_cfg.nms.iou_threshold,
            rpn.test_cfg.max_per_img,
        ),
        detections=Detections(
            _coder(head.bbox_head, network),
            options.score_thr,
            options.nms.iou_threshold,
            options.max_per_img,
            # a second head embeds what it is given, see ``second``
            'refined' if second else options.get('reid_on', 'proposal'),
        ),
        second=second,
    )


def _check_exportable(network: Network) -> None:
    model = network.model
    if getattr(model.backbone, 'gated', False):
        raise InputError(
            network.name,
            'has gates between query and gallery (QEEPS): the features of a '
            'gallery picture depend on the query, so that it has no graph '
            'and no embeddings of its own',
            'Export a network without gates: OIM, NAE, SeqNet, OIMNet++, or '
            'a student of this one (docs/distillation.md)',
        )
    if not model.rpn_head.use_sigmoid_cls:
        raise InputError(
            network.name,
            'has an RPN with a softmax; export knows the sigmoid alone',
            'Set rpn_head.loss_cls.use_sigmoid=True and train it again',
        )


def _resize(network: Network) -> Resize:
    """The one step of the pipeline that scales."""
    found = None
    for step in network.pipeline[1:]:
        kind = step['type']
        if kind in ('Resize', 'FloatResize') and found is None:
            found = step
        elif kind not in _WITHOUT_PIXELS:
            raise InputError(
                network.name,
                f'has a test pipeline with {kind}, which is not exported',
                'A pipeline has LoadScene, ClipPeople, one Resize, '
                'LoadTrackAnnotations and PackPersonSearchInputs',
            )
    load = {'type': 'LoadScene'}
    if found is None or dict(network.pipeline[0]) != load:
        raise InputError(
            network.name,
            'has a test pipeline without a plain LoadScene, or without Resize',
        )
    ratio = found.get('keep_ratio', found['type'] == 'FloatResize')
    if not ratio or {'interpolation', 'backend'} & found.keys():
        raise InputError(
            network.name,
            f'scales pictures in a way that is not exported: {dict(found)}',
            'Resize needs keep_ratio=True, and its own interpolation',
        )
    short, long = sorted(found['scale'])
    rounding = 'down' if found['type'] == 'FloatResize' else 'nearest'
    return Resize(long, short, rounding)


def _coder(owner: nn.Module, network: Network) -> Coder:
    coder = owner.bbox_coder
    plain = type(coder) is DeltaXYWHBBoxCoder
    if not plain or coder.add_ctr_clamp or not coder.clip_border:
        raise InputError(
            network.name,
            f'has a box coder that is not exported: {type(coder).__name__}',
            'Use DeltaXYWHBBoxCoder with its own clip_border and '
            'add_ctr_clamp',
        )
    # as its decode takes it from its default
    max_log = float(abs(np.log(16 / 1000)))
    return Coder(tuple(coder.means), tuple(coder.stds), max_log)


def _numbers(values: Sequence) -> tuple[float, ...]:
    return tuple(float(value) for value in values.flatten())
