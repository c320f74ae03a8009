"""The three losses of KD_det, and two on embeddings.

Symbols used in this file:
    N   sampled boxes (anchors or RoIs) of the mini-batch
    K   classes: person and background
    B, C, H, W  a feature map
    n   sampled RoIs of the mini-batch that show a person
    m   the same of all processes
    D   size of an embedding; D_t that of the teacher's

Sources: [S] Munjal, Galasso and Amin, "Knowledge Distillation for End-to-End
Person Search", BMVC 2019, section 4.1. [C] Chen et al., "Learning Efficient
Object Detection Models with Knowledge Distillation", NeurIPS 2017. [R] Park
et al., "Relational Knowledge Distillation", CVPR 2019, section 3.2. [J] Jia
et al., "Disaggregation Distillation for Person Search", IEEE Transactions on
Multimedia, 2025.

All arithmetic is in float32 (or float64), also in autocast.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.dist import get_world_size
from torch import Tensor, nn

from mmps.models.oim_loss import gather_rows
from mmps.models.sampled_boxes import mean_over_ranks


def soft_cross_entropy(
    student: Tensor,
    teacher: Tensor,
    temperature: float = 10.0,
    background_weight: float = 1.0,
) -> Tensor:
    """Cross entropy of softened scores, [S] eq. 3.

        -sum_c w_c P_t(c) log P_s(c),  P = softmax(logits / temperature)

    w_c is ``background_weight`` for the last class and 1 for the others.

    Args:
        student: (N, K) logits, background last; or (N, 1) objectness z, which
            is the two-class softmax of (z, 0).
        teacher: Of the same shape; gets no gradient.
        temperature: Above 0.
        background_weight: 1 in [S], 1.5 in [C].

    Returns:
        (N,) in nats.
    """
    student, teacher = (_two_classes(z) for z in (student, teacher.detach()))
    weights = torch.ones_like(teacher[:1])
    weights[:, -1] = background_weight
    target = weights * (teacher / temperature).softmax(dim=1)
    return -(target * (student / temperature).log_softmax(dim=1)).sum(dim=1)


def bounded_box_loss(
    student: Tensor, teacher: Tensor, target: Tensor, margin: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Squared error of boxes where the student is no better, [S] eq. 5.

        |R_s - y|^2  where  |R_s - y|^2 + margin > |R_t - y|^2,  else 0

    Args:
        student: (N, 4) predicted deltas.
        teacher: (N, 4) deltas of the teacher for the same boxes; only a
            bound, gets no gradient.
        target: (N, 4) deltas to the person.
        margin: In squared deltas; 0 is this project's choice ([S] and [C]
            print none).

    Returns:
        (N,) sums over the four deltas, and (N,) bool: where the term is
        active.
    """
    student, teacher, target = map(_precise, (student, teacher, target))
    error = (student - target).square().sum(dim=1)
    bound = (teacher.detach() - target).square().sum(dim=1)
    active = error.detach() + margin > bound
    return torch.where(active, error, torch.zeros_like(error)), active


def relation_loss(similarities: Tensor, of_teacher: Tensor) -> Tensor:
    """Huber distance of similarities to the teacher's, summed over pairs.

        sum_ij l(s_i . s_j - t_i . t_j),  l(d) = d^2 / 2  where  |d| <= 1,
                                                 |d| - 1/2  elsewhere

    This is [R] eq. 4 with pairs, the Huber loss that [R] takes for pairs and
    the cosine as potential. For unit vectors the cosine says the same as the
    distance of [R], since |s_i - s_j|^2 = 2 - 2 s_i . s_j. It is taken in its
    place because the distance has no gradient where two embeddings are equal,
    as those of RoIs on one person nearly are, and because [R]'s division by
    the mean distance makes up for different lengths, which unit vectors do
    not have; in a fresh network, whose embeddings all point the same way, it
    would blow up noise. The program of [J] compares the cosines too, by
    squares.

    Args:
        similarities: (n, m) cosines between embeddings of the student.
        of_teacher: (n, m) of the same pairs; gets no gradient.

    Returns:
        Scalar.
    """
    return F.huber_loss(similarities, of_teacher.detach(), reduction='sum')


def cells_of_images(
    img_shapes: Sequence[tuple[int, int]],
    stride: tuple[int, int],
    feats: Tensor,
) -> Tensor:
    """Which cells of a map are of an image; the others are its padding.

    A cell is of the image in which it begins. These are the cells that the
    image would have without padding, and those whose anchors mmdet calls
    valid.

    Args:
        img_shapes: (height, width) of the B images in input pixels.
        stride: Of the map, (width, height) as of mmdet's anchors.
        feats: (B, C, H, W).

    Returns:
        (B, H, W) bool, on the CPU, where it is counted.
    """
    heights, widths = torch.tensor(img_shapes).t()
    tops, lefts = (
        step * torch.arange(size)
        for step, size in zip(stride[::-1], feats.shape[-2:], strict=True)
    )
    rows = tops < heights[:, None]
    columns = lefts < widths[:, None]
    return rows[:, :, None] & columns[:, None, :]


class SoftCrossEntropyLoss(nn.Module):
    """Classification of one stage: hard_weight CE + (1 - hard_weight) soft.

    The literal temperature of 10 without its square makes the soft term
    almost inert: at a student's logit of 0 and a teacher's of 6 its gradient
    is 34 times smaller than at 1. ``scale_by_t2`` multiplies it by the square
    of the temperature, as Hinton et al., 2015, do.

    Args:
        hard_weight: mu of [S] and [C], in [0, 1]; the share of the hard loss.
        temperature: T; 10 in [S], 1 in [C].
        scale_by_t2: Whether the soft term is multiplied by T^2; [S] does not.
        background_weight: Weight of the background class in the soft term; 1
            in [S], 1.5 in [C].
    """

    def __init__(
        self,
        *,
        hard_weight: float = 0.5,
        temperature: float = 10.0,
        scale_by_t2: bool = False,
        background_weight: float = 1.0,
    ) -> None:
        super().__init__()
        if not 0 <= hard_weight <= 1:
            raise ValueError(f'hard_weight must be in [0, 1], {hard_weight=}')
        if not temperature > 0:
            raise ValueError(f'temperature must be > 0, got {temperature}')
        if not background_weight >= 0:
            raise ValueError(
                f'background_weight must be >= 0, got {background_weight}'
            )
        self.hard_weight = hard_weight
        self.temperature = temperature
        self.scale_by_t2 = scale_by_t2
        self.background_weight = background_weight

    def forward(
        self, student: Tensor, teacher: Tensor, count: float
    ) -> Tensor:
        """Return the soft term, weighted.

        Args:
            student: (N, K) or (N, 1) logits.
            teacher: The same boxes' logits of the teacher.
            count: Divides the sum over boxes, as in the hard loss.

        Returns:
            Scalar; 0 with a valid gradient for no boxes.
        """
        losses = soft_cross_entropy(
            student, teacher, self.temperature, self.background_weight
        )
        scale = self.temperature**2 if self.scale_by_t2 else 1.0
        return (1 - self.hard_weight) * scale * losses.sum() / max(count, 1)


class BoundedBoxLoss(nn.Module):
    """``bounded_box_loss`` of the positive boxes of one stage.

    It comes on top of the smooth L1 loss of the stage, and is divided by the
    number of all sampled boxes as that one is (Girshick, Fast R-CNN, 2015).

    Args:
        loss_weight: gamma of [S], nu of [C].
        margin: m; this project's choice is 0.
    """

    def __init__(
        self, *, loss_weight: float = 0.5, margin: float = 0.0
    ) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.margin = margin

    def forward(
        self, student: Tensor, teacher: Tensor, target: Tensor, count: float
    ) -> tuple[Tensor, Tensor]:
        """Return the loss and where it is active.

        Args:
            student: (N, 4) deltas of positive boxes.
            teacher: (N, 4).
            target: (N, 4).
            count: Sampled boxes, positive or not.

        Returns:
            Scalar, 0 with a valid gradient for no boxes; share of the boxes
            at which the term is active, 0 for no boxes.
        """
        losses, active = bounded_box_loss(
            student, teacher, target, self.margin
        )
        share = active.sum() / max(len(active), 1)
        return self.loss_weight * losses.sum() / max(count, 1), share


class HintLoss(nn.Module):
    """Squared distance of the adapted map to the teacher's, [S] eq. 1.

        || f_a(F_s) - F_t ||^2,  f_a a 1 x 1 convolution

    over the cells of the images; what a batch pads has no part in it. The
    adapter is there also where the channels agree. It is trained with the
    student, but is no part of it: it is not in the ``state_dict``
    (``DistillerHook`` keeps it in training checkpoints).

    Args:
        student_channels: C of the student's map.
        teacher_channels: C of the teacher's map.
        loss_weight: lambda_Hint of [S], gamma of [C].
        reduction: 'mean' over all elements of all images, this project's
            choice; 'sum' is [S] to the letter, some 2.4 million terms an
            image. With several processes the mean is over all of them, a sum
            is averaged over them.
    """

    def __init__(
        self,
        student_channels: int,
        teacher_channels: int,
        *,
        loss_weight: float = 0.5,
        reduction: str = 'mean',
    ) -> None:
        super().__init__()
        if reduction not in ('mean', 'sum'):
            raise ValueError(
                f"reduction must be 'mean' or 'sum', got {reduction!r}"
            )
        self.loss_weight = loss_weight
        self.reduction = reduction
        self.adapter = Adapter(student_channels, teacher_channels, 1)

    def forward(
        self, student: Tensor, teacher: Tensor, inside: Tensor
    ) -> Tensor:
        """Return the weighted loss.

        Args:
            student: (B, C, H, W).
            teacher: (B, C of the teacher, H, W); gets no gradient.
            inside: (B, H, W) bool, of ``cells_of_images``; on the CPU, so
                that a GPU need not be waited for.

        Raises:
            ValueError: Maps of different height or width.
        """
        if student.shape[-2:] != teacher.shape[-2:]:
            raise ValueError(
                f'the map of the student is {tuple(student.shape[-2:])}, '
                f'the map of the teacher {tuple(teacher.shape[-2:])}: their '
                'backbones have different strides'
            )
        adapted = _precise(self.adapter(student))
        # nothing is asked of the padding: it is right as it is
        asked = inside[:, None].to(adapted.device, non_blocking=True)
        target = torch.where(
            asked, _precise(teacher.detach()), adapted.detach()
        )
        loss = F.mse_loss(adapted, target, reduction=self.reduction)
        if self.reduction == 'mean':
            cells = mean_over_ranks(int(inside.sum()), adapted.device)
            loss = loss * (inside.numel() / cells)
        return self.loss_weight * loss


class EmbeddingLoss(nn.Module):
    """Mean of 1 - cos(student, teacher) over RoIs that show a person.

    The student's embeddings are to be those of the teacher, which must have
    their size. With several processes the mean is over the RoIs of all.

    Args:
        loss_weight: Factor on the returned value; 1 is this project's choice.
    """

    def __init__(self, *, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the weighted loss.

        Args:
            student: (n, D), rows of unit length.
            teacher: (n, D), likewise, of the same RoIs; gets no gradient.

        Returns:
            Scalar in [0, 2] times the weight, with several processes in the
            mean over them; 0 with a valid gradient for no RoI.
        """
        student, teacher = _precise(student), _precise(teacher.detach())
        loss = (1 - (student * teacher).sum(dim=1)).sum()
        # below 1 where few processes have seen anyone
        count = mean_over_ranks(len(student), student.device) or 1
        return self.loss_weight * loss / count


class RelationLoss(nn.Module):
    """Mean of ``relation_loss`` over all pairs of RoIs that show a person.

    Who looks like whom is to be as for the teacher, whatever the size of its
    embeddings. A mean over the m (m - 1) pairs is this project's choice; [R]
    prints a sum, the program of [J] takes one.

    With several processes the pairs are those of all their RoIs, gathered as
    for the OIM loss: a process often has one image or two, whose RoIs lie on
    few people, and the pairs that tell people apart are those with other
    images. N processes with b images each equal one process with N * b.

    Args:
        loss_weight: Factor on the returned value; 1 is this project's choice.
    """

    def __init__(self, *, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the weighted loss.

        Args:
            student: (n, D), rows of unit length.
            teacher: (n, D_t), likewise, of the same RoIs; gets no gradient.

        Returns:
            Scalar; 0 with a valid gradient for no pair. With several
            processes the share of this one: its pairs are those of its own
            RoIs with everyone's.
        """
        student, teacher = _precise(student), _precise(teacher.detach())
        with torch.autocast(student.device.type, enabled=False):
            both = torch.cat([student.detach(), teacher], dim=1)
            both, _ = gather_rows(both, np.zeros(len(both), dtype=np.int64))
            everyone, of_teacher = both.split(
                [student.shape[1], teacher.shape[1]], dim=1
            )
            # an RoI with itself agrees, and adds nothing
            loss = relation_loss(
                student @ everyone.t(), teacher @ of_teacher.t()
            )
        # Of each pair the first RoI has its gradient here and the second
        # none, which has its own where it is the first, here or elsewhere.
        # As both orders are alike, this is half of the gradient.
        loss = 2 * loss - loss.detach()
        pairs = len(everyone) * (len(everyone) - 1)
        return self.loss_weight * loss * (get_world_size() / max(pairs, 1))


class Adapter(nn.Conv2d):
    """A convolution whose weights are trained but never saved or loaded."""

    def _save_to_state_dict(self, *args, **kwargs) -> None:
        pass

    def _load_from_state_dict(self, *args, **kwargs) -> None:
        pass


def _two_classes(logits: Tensor) -> Tensor:
    logits = _precise(logits)
    if logits.shape[1] == 1:
        return torch.cat([logits, torch.zeros_like(logits)], dim=1)
    return logits


def _precise(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()
