"""Metadata of an exported network, as small as it can be."""

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

CODER = Coder((0.0, 0.0, 0.0, 0.0), (0.1, 0.1, 0.2, 0.2), 4.135)
SECOND = SecondHead(CODER, 0.4, 'first')


def metadata(**changes):
    """Of a network with one head."""
    found = dict(
        part='scene',
        layout='split',
        network='small',
        fingerprint='0123456789abcdef',
        precision='fp32',
        classes=('person',),
        embedding_size=8,
        det_thr=0.5,
        match_threshold=0.6,
        training_data=None,
        license='Apache-2.0',
        made_by='mmps',
        resize=Resize(320, 240, 'nearest'),
        input=Input('bgr', (1.0, 2.0, 3.0), (1.0, 1.0, 1.0), 'rgb', 16),
        anchors=Anchors(((-8.0, -8.0, 24.0, 24.0),), (16, 16)),
        proposals=Proposals(CODER, 100, 0.0, 0.7, 10),
        detections=Detections(CODER, 0.05, 0.4, 10, 'proposal'),
        second=None,
    )
    return Metadata(**{**found, **changes})
