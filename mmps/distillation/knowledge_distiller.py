"""KD_det: a detector teaches the student's detector.

A whole person search network can also teach the student's embeddings.

Source: [S] Munjal, Galasso and Amin, "Knowledge Distillation for End-to-End
Person Search", BMVC 2019, section 4.1; for embeddings see ``kd_losses.py``.
"""

from collections.abc import Sequence

from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmdet.utils import ConfigType, OptConfigType
from mmengine.logging import print_log
from torch import Tensor, nn

from mmps.models import SampledBoxes

from .kd_losses import (
    BoundedBoxLoss,
    EmbeddingLoss,
    HintLoss,
    RelationLoss,
    SoftCrossEntropyLoss,
    cells_of_images,
)
from .teacher import (
    check_embeddings,
    check_pair,
    load_teacher,
    teacher_config,
)

#: Of KD_det, all of them on by default.
PARTS = ('hint', 'rpn', 'rcn')
#: Of embeddings, off by default.
ON_EMBEDDINGS = {'embedding': EmbeddingLoss, 'relation': RelationLoss}


@MODELS.register_module()
class KnowledgeDistiller(nn.Module):
    """Adds the losses of KD_det to those of a student.

        L_cls = mu CE + (1 - mu) L_soft    of the RPN and of the RoI head
        L_reg = smoothL1 + 0.5 L_bounded   of the RPN and of the RoI head
        L     = L_cls + L_reg + 0.5 L_hint + lambda_oim L_oim

    Goes into the student's config: ``model=dict(distiller=dict(
    type='KnowledgeDistiller', teacher=..., checkpoint=...))``. The defaults
    are the recipe of [S] to the letter.

    Two more parts, off by default, teach the embeddings s_i of the student's
    sampled RoIs that show a person, where t_i are the teacher's embeddings of
    the same RoIs and l is the Huber loss:

        L_embedding = mean_i (1 - s_i . t_i)                    of one size
        L_relation  = mean_{i != j} l(s_i . s_j - t_i . t_j)    of any size

    Their teacher is a whole person search network. Without them its
    embeddings are not computed.

    The teacher is read when training starts (``DistillerHook``) and runs once
    a step, on the student's input; its heads are asked about the student's
    sampled anchors and RoIs. It is in no ``state_dict``, optimizer or moving
    average, in eval mode and without gradients. Nor is the adapter of the
    hint in the ``state_dict``: what is saved is the plain student.

    Args:
        teacher: Path of the teacher's config, from the working folder; or its
            model.
        checkpoint: Path or address of the teacher's weights.
        student_channels: Channels of the student's map; the model sets it.
        parts: What is distilled: any of 'hint', 'rpn' and 'rcn', and of
            'embedding' and 'relation'.
        hint: Options of ``HintLoss``.
        rpn: Options of the RPN's losses: ``soft`` of
            ``SoftCrossEntropyLoss``, ``box`` of ``BoundedBoxLoss``.
        rcn: Options of the RoI head's losses, ``soft`` and ``box`` as of
            ``rpn``.
        embedding: Options of ``EmbeddingLoss``.
        relation: Options of ``RelationLoss``.

    Raises:
        ValueError: No part, an unknown part, or options of one that is off;
            or a teacher without the embeddings that a part is about.
    """

    def __init__(
        self,
        *,
        teacher: str | ConfigType,
        checkpoint: str,
        student_channels: int,
        parts: Sequence[str] = PARTS,
        hint: OptConfigType = None,
        rpn: OptConfigType = None,
        rcn: OptConfigType = None,
        embedding: OptConfigType = None,
        relation: OptConfigType = None,
    ) -> None:
        super().__init__()
        options = dict(
            hint=hint,
            rpn=rpn,
            rcn=rcn,
            embedding=embedding,
            relation=relation,
        )
        _check_parts(parts, options)
        self.parts = tuple(parts)
        self.config = teacher_config(teacher)
        self.checkpoint = checkpoint
        self.teacher = None
        self.hint = None
        if 'hint' in parts:
            self.hint = HintLoss(
                student_channels,
                self.config.rpn_head.in_channels,
                **(hint or {}),
            )
        stages = [part for part in ('rpn', 'rcn') if part in parts]
        self.soft, self.box = nn.ModuleDict(), nn.ModuleDict()
        for stage in stages:
            of_stage = options[stage] or {}
            self.soft[stage] = SoftCrossEntropyLoss(**of_stage.get('soft', {}))
            self.box[stage] = BoundedBoxLoss(**of_stage.get('box', {}))
        self.on_embeddings = nn.ModuleDict(
            {
                part: loss(**(options[part] or {}))
                for part, loss in ON_EMBEDDINGS.items()
                if part in parts
            }
        )
        roi_head = self.config.get('roi_head', {})
        if self.on_embeddings and roi_head.get('oim_head') is None:
            raise ValueError(
                'model.distiller.teacher is a detector alone: its roi_head '
                f'has no oim_head, and {list(self.on_embeddings)} of '
                'model.distiller.parts need its embeddings. Name the config '
                'of a person search network, such as configs/oim/oim_r50.py, '
                'or leave these parts out'
            )

    def load_teacher(self, student: nn.Module) -> None:
        """Read the teacher, and see that it fits the student.

        Args:
            student: The model that this is a part of.

        Raises:
            CheckpointError: The weights cannot be read or do not fit.
            ValueError: Other anchors, strides, box coding or normalisation
                than the student's; or embeddings that cannot be compared.
        """
        teacher = load_teacher(self.config, self.checkpoint)
        check_pair(student, teacher.model)
        if self.on_embeddings:
            check_embeddings(
                student,
                teacher.model,
                same_size='embedding' in self.on_embeddings,
            )
        device = next(student.parameters()).device
        teacher.model.to(device)
        self.teacher = teacher
        size = sum(p.numel() for p in teacher.model.parameters())
        print_log(
            f'KnowledgeDistiller: {" + ".join(self.parts)} from '
            f'{self.checkpoint} ({size / 1e6:.1f} million parameters, frozen)',
            logger='current',
        )

    def forward(
        self,
        batch_inputs: Tensor,
        batch_data_samples: SampleList,
        feats: tuple[Tensor],
        anchors: SampledBoxes,
        rois: SampledBoxes,
        losses: dict[str, Tensor],
    ) -> dict[str, Tensor]:
        """Add the losses of the teacher.

        Args:
            batch_inputs: (B, 3, H, W), what the student has seen.
            batch_data_samples: Whose ``img_shape`` tells what is padding.
            feats: The student's map (B, C, H, W).
            anchors: What its RPN was trained on.
            rois: What its RoI head was trained on.
            losses: Of the student alone; not changed.

        Returns:
            The losses with the hard class losses weighted by mu and, beside
            them, ``loss_kd_hint``, ``loss_kd_{rpn,rcn}_cls``,
            ``loss_kd_{rpn,rcn}_bbox``, ``loss_kd_embedding`` and
            ``loss_kd_relation``, of the parts that are on; to be logged, no
            losses:
            ``kd_{rpn,rcn}_active``, the share of positive boxes at which the
            bounded term is active, and ``kd_adapter_norm``, the Frobenius
            norm of the adapter's weight.
        """
        if self.teacher is None:
            raise RuntimeError(
                'the teacher was not loaded: train with '
                "default_hooks.distiller=dict(type='DistillerHook'), or call "
                'load_teacher(model)'
            )
        losses = dict(losses)
        teacher_outputs = self.teacher(
            batch_inputs,
            anchors.where if 'rpn' in self.soft else None,
            rois.where if 'rcn' in self.soft or self.on_embeddings else None,
            rois.positive if self.on_embeddings else None,
            score='rcn' in self.soft,
        )
        if self.hint is not None:
            inside = cells_of_images(
                [sample.img_shape for sample in batch_data_samples],
                self.teacher.stride,
                teacher_outputs.feats,
            )
            losses['loss_kd_hint'] = self.hint(
                feats[0], teacher_outputs.feats, inside
            )
            weight = self.hint.adapter.weight.detach()
            losses['kd_adapter_norm'] = weight.norm()
        for stage, boxes, answer, hard in (
            ('rpn', anchors, teacher_outputs.rpn, 'loss_rpn_cls'),
            ('rcn', rois, teacher_outputs.rcn, 'loss_cls'),
        ):
            if stage not in self.soft:
                continue
            if hard in losses:  # a step without any RoI has none
                losses[hard] = self.soft[stage].hard_weight * losses[hard]
            losses.update(self._stage_losses(stage, boxes, *answer))
        for part, loss in self.on_embeddings.items():
            losses[f'loss_kd_{part}'] = loss(
                rois.embeddings[rois.positive], teacher_outputs.embeddings
            )
        return losses

    def _stage_losses(
        self, stage: str, boxes: SampledBoxes, logits: Tensor, deltas: Tensor
    ) -> dict[str, Tensor]:
        positive = boxes.positive
        box, active = self.box[stage](
            boxes.deltas[positive],
            deltas[positive],
            boxes.targets[positive],
            boxes.count,
        )
        soft = self.soft[stage](boxes.logits, logits, boxes.count)
        return {
            f'loss_kd_{stage}_cls': soft,
            f'loss_kd_{stage}_bbox': box,
            f'kd_{stage}_active': active,
        }


def _check_parts(parts: Sequence[str], options: dict) -> None:
    known = [*PARTS, *ON_EMBEDDINGS]
    if isinstance(parts, str) or not parts or set(parts) - set(known):
        raise ValueError(
            f'model.distiller.parts must be a list of some of {known}, '
            f'got {parts!r}'
        )
    for part, given in options.items():
        if given is not None and part not in parts:
            raise ValueError(
                f'model.distiller.{part} has options, but is not among the '
                f'parts {list(parts)}'
            )
        unknown = set(given or {}) - {'soft', 'box'}
        if part in ('rpn', 'rcn') and unknown:
            raise ValueError(
                f"model.distiller.{part} has options 'soft' and 'box', got "
                f'{sorted(unknown)}'
            )
