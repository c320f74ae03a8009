"""The frozen network of KD_det: read, compared with the student, asked.

Symbols used in this file:
    N   sampled anchors of the mini-batch
    R   sampled RoIs of the mini-batch
    n   those of them that show a person
    D   size of an embedding of the teacher
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from mmdet.models.detectors import TwoStageDetector
from mmdet.registry import MODELS
from mmdet.utils import ConfigType
from mmengine.config import Config
from torch import Tensor, nn

from mmps.checkpoints import CheckpointError, fill_weights, read_weights
from mmps.checkpoints.fit import training_only
from mmps.configs import find_config
from mmps.errors import InputError
from mmps.fingerprint import fingerprint
from mmps.models.person_search_rpn_head import per_anchor
from mmps.plain_model import plain_model


@dataclass(frozen=True)
class Taught:
    """What the teacher says of one mini-batch; a part not asked for is None.

    Attributes:
        feats: (B, C, H, W) its C4 map.
        rpn: (N, 1) logits and (N, 4) deltas of the student's anchors.
        rcn: (R, 2) logits and (R, 4) deltas of the student's RoIs.
        embeddings: (n, D) of the RoIs that show a person, rows of unit
            length.
    """

    feats: Tensor
    rpn: tuple[Tensor, Tensor] | None
    rcn: tuple[Tensor, Tensor] | None
    embeddings: Tensor | None


class Teacher:
    """A two-stage detector that only answers.

    Not a module: whoever holds it does not have its weights among its own, so
    that they are in no ``state_dict``, optimizer or moving average. Copies
    share them.

    Args:
        model: Is put in eval mode, and its parameters stop asking for
            gradients.
    """

    def __init__(self, model: TwoStageDetector) -> None:
        self.model = model.eval().requires_grad_(False)

    def __deepcopy__(self, memo: dict) -> 'Teacher':
        return self

    @property
    def stride(self) -> tuple[int, int]:
        """(width, height) of a cell of the map in input pixels."""
        return self.model.rpn_head.prior_generator.strides[0]

    @cached_property
    def fingerprint(self) -> str:
        """Of the weights, wherever they were read.

        Without what a file of them may lack: BatchNorm's step counters, and a
        lookup table and queue, which only training needs.
        """
        memory = training_only(self.model)
        weights = {
            key: value
            for key, value in self.model.state_dict().items()
            if not key.startswith(memory)
            and not key.endswith('num_batches_tracked')
        }
        return fingerprint(weights, {})

    @torch.no_grad()
    def __call__(
        self,
        batch_inputs: Tensor,
        anchors: Tensor | None = None,
        rois: Tensor | None = None,
        people: Tensor | None = None,
        score: bool = True,
    ) -> Taught:
        """Run once on a mini-batch; its own proposals are never made.

        Args:
            batch_inputs: (B, 3, H, W), the very tensor of the student.
            anchors: (N,) long; ``SampledBoxes.where`` of the RPN.
            rois: (R, 5) in input pixels.
            people: (R,) bool; which RoIs are embedded. For a teacher with a
                re-identification branch.
            score: Whether the RoIs are scored; otherwise those that are not
                embedded are not even pooled.
        """
        model = self.model
        feats = model.extract_feat(batch_inputs)
        rpn = rcn = embeddings = None
        if anchors is not None:
            logits, deltas = (outputs[0] for outputs in model.rpn_head(feats))
            rpn = (
                per_anchor(logits, model.rpn_head.cls_out_channels)[anchors],
                per_anchor(deltas, 4)[anchors],
            )
        head, pooled = model.roi_head, None
        if rois is not None and score:
            pooled = head.pool(feats, rois)
            rcn = head.box_branch(pooled)
        if people is not None:
            vectors = head.reid_vectors(
                feats,
                rois[people],
                None if pooled is None else pooled[people],
            )
            embeddings = head.oim_head(vectors)
        return Taught(feats[0], rpn, rcn, embeddings)


def teacher_config(teacher: str | ConfigType) -> ConfigType:
    """Config of the teacher's model, without a distiller of its own.

    Args:
        teacher: Path of a config, or the name of one of mmps; or the model
            itself.

    Raises:
        InputError: There is no such config.
        ValueError: The model has no RPN.
    """
    if isinstance(teacher, str | Path):
        try:
            path = find_config(teacher)
        except InputError as error:
            name = f'model.distiller.teacher={teacher}'
            raise InputError(name, error.problem, error.hint) from None
        teacher = Config.fromfile(path).get('model', {})
    config = Config(dict(model=plain_model(teacher))).model
    if 'rpn_head' not in config:
        raise ValueError(
            f'model.distiller.teacher is a {config.get("type")} without '
            'rpn_head; a teacher is a PersonSearchRCNN'
        )
    return config


def load_teacher(config: ConfigType, checkpoint: str) -> Teacher:
    """Build a teacher and read all of its weights.

    Args:
        config: Model of a two-stage detector, as ``teacher_config`` gives it.
        checkpoint: Path or address.

    Raises:
        CheckpointError: Missing, damaged, or of another network.
        ValueError: The config is not one of a two-stage detector.
    """
    model = MODELS.build(config)
    if not isinstance(model, TwoStageDetector) or not hasattr(
        model.roi_head, 'pool'
    ):
        raise ValueError(
            f'model.distiller.teacher is a {type(model).__name__} with a '
            f'{type(getattr(model, "roi_head", None)).__name__}; a teacher is '
            'a PersonSearchRCNN with a PersonSearchRoIHead'
        )
    try:
        weights = read_weights(checkpoint)
    except CheckpointError as error:
        raise CheckpointError(
            error.file,
            error.problem,
            f'{error.hint}. '.lstrip('. ')
            + 'model.distiller.checkpoint names this file: the trained '
            'teacher (`mmps train` with the config of model.distiller.'
            'teacher makes one)',
        ) from error
    fill_weights(model, weights, checkpoint)
    return Teacher(model)


def check_pair(student: nn.Module, teacher: nn.Module) -> None:
    """See that two detectors speak of the same boxes and pixels.

    Raises:
        ValueError: Names every setting that differs, with both values.
    """
    ours, theirs = _settings(student), _settings(teacher)
    differing = [
        f'{name}: student {ours[name]}, teacher {theirs[name]}'
        for name in ours
        if ours[name] != theirs[name]
    ]
    if differing:
        raise ValueError(
            'the teacher cannot score the anchors and RoIs of this '
            'student, because they differ in\n  '
            + '\n  '.join(differing)
            + '\nTrain a teacher with the settings of the student'
        )


def check_embeddings(
    student: nn.Module, teacher: nn.Module, same_size: bool
) -> None:
    """See that a student embeds people as its teacher does.

    Args:
        student: Its RoI head should have an ``oim_head``.
        teacher: Has one.
        same_size: Whether the embeddings must be of one size.

    Raises:
        ValueError: The student does not embed, or embeds other boxes than
            those that it is told of, or the sizes differ.
    """
    if student.roi_head.oim_head is None:
        raise ValueError(
            'model.roi_head has no oim_head: a student that is a detector '
            "alone has no embeddings to teach. Leave 'embedding' and "
            "'relation' out of model.distiller.parts"
        )
    if not student.roi_head.embeds_sampled_rois:
        raise ValueError(
            f'a {type(student.roi_head).__name__} embeds other boxes than '
            'those that its detector is trained on, so that no teacher can '
            "embed the same ones: leave 'embedding' and 'relation' out of "
            'model.distiller.parts'
        )
    ours, theirs = (
        model.roi_head.oim_head.loss_oim.table.shape[1]
        for model in (student, teacher)
    )
    if same_size and ours != theirs:
        raise ValueError(
            f'the embeddings of the student have {ours} values, those of the '
            f"teacher {theirs}: for the part 'embedding', set "
            'model.roi_head.oim_head.feat_dim to that of the teacher, or use '
            "'relation', which compares any sizes"
        )


def _settings(model: nn.Module) -> dict:
    """What both must have in common, by name, in comparable form."""
    rpn, head = model.rpn_head, model.roi_head.bbox_head
    extractor = model.roi_head.bbox_roi_extractor
    priors, inputs = rpn.prior_generator, model.data_preprocessor
    return {
        'stride of the anchors': list(priors.strides),
        'anchors (x1 y1 x2 y2)': [
            [round(float(side), 3) for side in box]
            for base in priors.base_anchors
            for box in base
        ],
        'stride of the RoI features': list(extractor.featmap_strides),
        'coding of RPN boxes': _coding(rpn.bbox_coder),
        'coding of RoI boxes': _coding(head.bbox_coder),
        'sigmoid objectness': rpn.use_sigmoid_cls,
        'classes': head.num_classes,
        'one box for all classes': head.reg_class_agnostic,
        'mean of the input': _numbers(getattr(inputs, 'mean', None)),
        'standard deviation of the input': _numbers(
            getattr(inputs, 'std', None)
        ),
        'order of the colours': (
            'swapped'
            if getattr(inputs, '_channel_conversion', False)
            else 'as read'
        ),
    }


def _coding(coder) -> str:
    return (
        f'{type(coder).__name__}, means {list(coder.means)}, '
        f'stds {list(coder.stds)}'
    )


def _numbers(values: Tensor | None) -> list[float] | None:
    if values is None:
        return None
    return [round(float(value), 3) for value in values.flatten()]
