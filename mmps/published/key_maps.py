"""Which tensor of a published network becomes which one of ours.

Symbols used in this file, sizes that the tensors of a file fix:
    W   channels of the stem, 64 in a ResNet-50; C4 has 16 W, C5 has 32 W
    A   anchors of a cell
    D   size of an embedding; D4 and D5 those of its two halves
    P   rows of the lookup table
    Q   slots of the queue

All networks are a ResNet-50 of torchvision's names, an RPN as wide as C4, and
heads on C5. A class has the order [background, person] there and [person,
background] here; a box regressor has 8 rows there, 4 for each class, and the
4 of the person here.

Sources: Lee et al., "OIMNet++", ECCV 2022; Li and Miao, "Sequential
End-to-end Network for Efficient Person Search" (SeqNet), AAAI 2021; Chen et
al., "Norm-Aware Embedding for Efficient Person Search" (NAE), CVPR 2020.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mmps.checkpoints.resnet_depth import BLOCKS

#: Rows of a class layer: ours from theirs.
_SWAPPED = (1, 0)
#: Rows of the person's box.
_PERSON = (4, 5, 6, 7)
#: End of the key of a BatchNorm's step counter, which a file may lack.
COUNTER = 'num_batches_tracked'
#: Key of the lookup table in a published file.
TABLE = 'roi_heads.reid_loss.lut'
#: torchvision since 0.13 -> before, which the tables have.
RESPELT = {'rpn.head.conv.0.0.': 'rpn.head.conv.'}


@dataclass(frozen=True)
class Move:
    """One tensor.

    Attributes:
        theirs: Key in the file.
        ours: Key of mmps.
        shape: Its sizes in the file: whole numbers, or sums of the symbols
            above, such as '16W' or 'D4+D5'.
        rows: Which of its rows are ours, in our order; None for all.
    """

    theirs: str
    ours: str
    shape: tuple[int | str, ...]
    rows: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Network:
    """A published network.

    Attributes:
        title: What papers call it.
        repository: Of its authors, owner and name on GitHub.
        licence: Of their code.
        config: Name of our config for CUHK-SYSU; that for PRW ends in _prw.
        moves: All tensors that are used.
        embedding: Size of an embedding, in symbols.
        dropped: Key, or prefix that ends in a dot, of what is not used -> why.
        zeros: Our key of tensors that theirs does without -> shape.
    """

    title: str
    repository: str
    licence: str
    config: str
    moves: tuple[Move, ...]
    embedding: str
    dropped: Mapping[str, str]
    zeros: Mapping[str, tuple[int | str, ...]]

    def config_for(self, dataset: str) -> str:
        """Name of our config: 'cuhk-sysu' or 'prw'."""
        return f'{self.config}_prw' if dataset == 'prw' else self.config


def _layer(
    theirs: str,
    ours: str,
    *shape: int | str,
    bias: bool = True,
    rows: tuple[int, ...] | None = None,
) -> list[Move]:
    """A convolution or a linear layer; ``shape`` is that of its weight."""
    moves = [Move(f'{theirs}.weight', f'{ours}.weight', shape, rows)]
    if bias:
        moves.append(Move(f'{theirs}.bias', f'{ours}.bias', shape[:1], rows))
    return moves


def _norm(
    theirs: str,
    ours: str,
    size: int | str,
    affine: bool = True,
    rows: tuple[int, ...] | None = None,
) -> list[Move]:
    """A BatchNorm over ``size`` channels."""
    names = ['running_mean', 'running_var']
    if affine:
        names = ['weight', 'bias', *names]
    return [
        *(Move(f'{theirs}.{n}', f'{ours}.{n}', (size,), rows) for n in names),
        Move(f'{theirs}.{COUNTER}', f'{ours}.{COUNTER}', ()),
    ]


def _stage(theirs: str, ours: str, number: int) -> list[Move]:
    """A stage of a ResNet-50: blocks of three convolutions."""
    narrow = f'{2 ** (number - 1)}W'
    wide = f'{2 ** (number + 1)}W'
    into = 'W' if number == 1 else f'{2**number}W'
    moves = []
    for block in range(BLOCKS[50][number - 1]):
        shapes = {
            'conv1': (narrow, into, 1, 1),
            'conv2': (narrow, narrow, 3, 3),
            'conv3': (wide, narrow, 1, 1),
        }
        if block == 0:
            shapes['downsample.0'] = (wide, into, 1, 1)
        for name, shape in shapes.items():
            norm = name.replace('conv', 'bn').replace('.0', '.1')
            for part in (name, norm):
                pair = (f'{theirs}.{block}.{part}', f'{ours}.{block}.{part}')
                if part == norm:
                    moves += _norm(*pair, shape[0])
                else:
                    moves += _layer(*pair, *shape, bias=False)
        into = wide
    return moves


def _detector() -> list[Move]:
    """Backbone and RPN, which all networks have."""
    moves = [
        *_layer('backbone.conv1', 'backbone.conv1', 'W', 3, 7, 7, bias=False),
        *_norm('backbone.bn1', 'backbone.bn1', 'W'),
    ]
    for number in (1, 2, 3):
        name = f'backbone.layer{number}'
        moves += _stage(name, name, number)
    head = ('rpn.head.', 'rpn_head.rpn_')
    for theirs, ours, *shape in (
        ('conv', 'conv', '16W', '16W', 3, 3),
        ('cls_logits', 'cls', 'A', '16W', 1, 1),
        ('bbox_pred', 'reg', '4A', '16W', 1, 1),
    ):
        moves += _layer(head[0] + theirs, head[1] + ours, *shape)
    return moves


def _trunk(theirs: str, ours: str) -> list[Move]:
    """Stage 4 on RoIs."""
    return _stage(f'roi_heads.{theirs}.layer4', f'roi_head.{ours}.layer4', 4)


def _class(theirs: str) -> list[Move]:
    return _layer(
        f'roi_heads.{theirs}',
        'roi_head.bbox_head.fc_cls',
        *(2, '32W'),
        rows=_SWAPPED,
    )


def _box(theirs: str, ours: str) -> list[Move]:
    return _layer(
        f'roi_heads.{theirs}',
        f'roi_head.{ours}.fc_reg',
        *(8, '32W'),
        rows=_PERSON,
    )


def _box_and_norm(ours: str) -> list[Move]:
    """A box regressor with a BatchNorm behind it."""
    theirs = 'box_predictor.bbox_pred'
    return [
        *_box(f'{theirs}.0', ours),
        *_norm(
            *(f'roi_heads.{theirs}.1', f'roi_head.{ours}.bn', 8),
            rows=_PERSON,
        ),
    ]


def _norm_aware() -> list[Move]:
    """Embeddings of C4 and C5, and the norm as the score (NAE)."""
    theirs, ours = 'roi_heads.embedding_head', 'roi_head.oim_head'
    moves = []
    for level, channels in ((4, '16W'), (5, '32W')):
        source = f'{theirs}.projectors.feat_res{level}'
        target = f'{ours}.project_c{level}'
        size = f'D{level}'
        moves += _layer(f'{source}.0', f'{target}.fc', size, channels)
        moves += _norm(f'{source}.1', f'{target}.bn', size)
    return [*moves, *_norm(f'{theirs}.rescaler', f'{ours}.rescale', 1)]


def _single_embedding() -> list[Move]:
    """An embedding of C5 without a bias, and a norm without scale, shift."""
    source = 'roi_heads.embedding_head.projectors.feat_res5'
    target = 'roi_head.oim_head'
    return [
        *_layer(f'{source}.0', f'{target}.fc', 'D', '32W', bias=False),
        *_norm(f'{source}.1', f'{target}.norm', 'D', affine=False),
    ]


_QUEUE = {
    'roi_heads.reid_loss.cq': 'queue of people without identity, which only '
    'training needs'
}


def _moves(*parts: Iterable[Move]) -> tuple[Move, ...]:
    return tuple(move for part in parts for move in part)


#: Value of ``--from`` -> network.
NETWORKS = {
    'oimnetpp': Network(
        title='OIMNet++',
        repository='cvlab-yonsei/OIMNetPlus',
        licence='GPL-3',
        config='oimnetpp_r50',
        moves=_moves(
            _detector(),
            _trunk('reid_head', 'shared_head'),
            _class('box_predictor.bbox_cls'),
            _box('box_predictor.bbox_pred', 'bbox_head'),
            _single_embedding(),
        ),
        embedding='D',
        dropped={
            'roi_heads.box_head.': 'left over, OIMNet++ never uses it',
            'roi_heads.faster_rcnn_predictor.': 'left over, OIMNet++ never '
            'uses it',
            **_QUEUE,
        },
        zeros={'roi_head.oim_head.fc.bias': ('D',)},
    ),
    'seqnet': Network(
        title='SeqNet',
        repository='serend1p1ty/SeqNet',
        licence='MIT',
        config='seqnet_r50',
        moves=_moves(
            _detector(),
            _trunk('box_head', 'shared_head'),
            _class('faster_rcnn_predictor.cls_score'),
            _box('faster_rcnn_predictor.bbox_pred', 'bbox_head'),
            _trunk('reid_head', 'reid_stage'),
            _box_and_norm('reid_bbox_head'),
            _norm_aware(),
        ),
        embedding='D4+D5',
        dropped=_QUEUE,
        zeros={},
    ),
    'nae': Network(
        title='NAE',
        repository='dichen-cd/NAE4PS',
        licence='MIT',
        config='nae_r50',
        moves=_moves(
            _detector(),
            _trunk('box_head', 'shared_head'),
            _box_and_norm('bbox_head'),
            _norm_aware(),
        ),
        embedding='D4+D5',
        dropped={
            'roi_heads.box_predictor.cls_score.': 'left over, NAE never uses '
            'it: its score is the norm of the embedding',
            **_QUEUE,
        },
        zeros={},
    ),
}
