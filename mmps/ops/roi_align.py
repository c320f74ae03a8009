"""RoIAlign as two small matrix products.

Symbols used in this file:
    B, C, H, W  images, channels, rows and columns of the feature map
    R           regions, all images together
    h, w        bins of a region: rows and columns of the output
    T           sample points of one bin along one axis, the most of any bin

A bin is the mean of bilinear samples on a regular grid. Bilinear weights are
a product of a row weight and a column weight, and so is their mean over the
grid. Hence, for a region on image b,

    output = rows @ features[b] @ cols^T        rows (h, H), cols (w, W)

for each channel, where ``rows`` and ``cols`` hold the averaged weights.

Source: He et al., "Mask R-CNN", ICCV 2017, arXiv 1703.06870, section 3. The
sample grid, the rounding and the border follow the kernels of mmcv 2.1
(``pool_mode='avg'``) and torchvision, so weights trained with those can be
used here.
"""

import torch
from torch import Tensor

from .choice import kernels_for
from .kernels import Kernels
from .separable_pool import is_exported, is_traced, pool


def roi_align(
    features: Tensor,
    rois: Tensor,
    output_size: int | tuple[int, int],
    spatial_scale: float = 1.0,
    sampling_ratio: int = 0,
    aligned: bool = True,
) -> Tensor:
    """Pool a grid of h x w bins from each region.

    Gradients of any order reach ``features`` and none reaches ``rois``.
    Weights and sums are float32, or float64 for float64 features, whatever
    autocast says.

    On a GPU the kernel of torchvision or of compiled mmcv runs in place of
    the matrix products (``choice.py``); it has first derivatives only, and
    adds gradients in varying order. So deterministic algorithms
    (``torch.use_deterministic_algorithms``) are the matrix products', and so
    is a program that is exported.

    Args:
        features: (B, C, H, W) float, contiguous or channels last.
        rois: (R, 5) float: image index in [0, B), then x1 y1 x2 y2 in pixels
            of the image. A region outside of the map gives 0.
        output_size: h and w, or one number for both.
        spatial_scale: Feature cells per pixel, 1 / stride.
        sampling_ratio: Samples per bin along each axis. 0 takes about one
            per feature cell: ceil(length of the bin) of that region, so a
            region without area gives 0.
        aligned: Cell k covers [k, k + 1), its centre lies at k + 0.5. False
            is the grid of the first Faster R-CNN codes: centre at k, and
            regions are widened to at least one cell.

    Returns:
        (R, C, h, w), dtype and memory format of ``features``.
    """
    size = _pair(output_size)
    _check(features, rois, sampling_ratio)
    dtype = torch.promote_types(features.dtype, torch.float32)
    kernels = _kernels(features, rois)
    pooled = (kernels.roi_align if kernels else _by_matrices)(
        features.to(dtype),
        rois.detach().to(dtype),
        size,
        spatial_scale,
        sampling_ratio,
        aligned,
    )
    if _is_channels_last(features):
        pooled = pooled.contiguous(memory_format=torch.channels_last)
    return pooled.to(features.dtype)


def _kernels(features: Tensor, rois: Tensor) -> Kernels | None:
    """Return another package's kernels where they are to be used."""
    if is_exported() or not len(rois):
        return None
    if features.is_cuda and torch.are_deterministic_algorithms_enabled():
        return None
    return kernels_for(features.device.type)


def _by_matrices(
    features: Tensor,
    rois: Tensor,
    size: tuple[int, int],
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> Tensor:
    """``roi_align`` of features and regions of one dtype."""
    with torch.no_grad():
        image = rois[:, 0].long()
        corners = rois[:, 1:] * spatial_scale
        if aligned:
            corners = corners - 0.5
        start, length = corners[:, :2], corners[:, 2:] - corners[:, :2]
        if not aligned:
            length = length.clamp(min=1)
        (x, y), (width, height) = start.unbind(1), length.unbind(1)
        map_height, map_width = features.shape[2:]
        rows = _weights(y, height, size[0], map_height, sampling_ratio)
        cols = _weights(x, width, size[1], map_width, sampling_ratio)
    return pool(features, rows, cols, image)


def _weights(
    start: Tensor,
    length: Tensor,
    bins: int,
    cells: int,
    sampling_ratio: int,
) -> Tensor:
    """Weigh the cells of one axis for each bin of each region.

    Args:
        start: (R,) where the region begins, in cells.
        length: (R,) of the region, in cells.
        bins: h or w.
        cells: H or W.

    Returns:
        (R, bins, cells). A row sums to the share of its samples that lie in
        [-1, cells]: those beyond count as 0, and those outside the outermost
        centres take the value at the border.
    """
    bin_length = length / bins
    edge = torch.arange(bins, device=start.device) * bin_length[:, None]
    edge = start[:, None] + edge  # (R, bins)
    if sampling_ratio:
        samples = torch.full_like(length, sampling_ratio)
        nth = torch.arange(sampling_ratio, device=start.device)  # (T,)
    else:
        samples = bin_length.ceil().clamp(min=0)
        # Samples of a long bin lie at least half a cell apart: of a region
        # of any length no more than this many reach the map.
        most = torch.cat([samples, samples.new_ones(1)]).max()
        most = most.clamp(max=2 * cells + 6).long()
        skipped = (-1 - edge) * (samples / bin_length)[:, None]
        skipped = skipped.nan_to_num(0).floor().sub(1).clamp(min=0)
        nth = torch.arange(most, device=start.device) + skipped[..., None]
    samples = samples[:, None, None]
    # (R, bins, T) from here on
    depth = (nth + 0.5) * bin_length[:, None, None] / samples.clamp(min=1)
    point = edge[..., None] + depth
    counts = (nth < samples) & (point >= -1) & (point <= cells)
    share = counts / samples.clamp(min=1)
    point = point.clamp(0, cells - 1)
    below = point.floor()
    above = (below + 1).clamp(max=cells - 1)
    far = (point - below) * share
    weights = start.new_zeros(start.shape[0], bins, cells)
    weights = weights.scatter_add(2, below.long(), share - far)
    return weights.scatter_add(2, above.long(), far)


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    """Return h and w as two positive numbers."""
    pair = (size, size) if isinstance(size, int) else tuple(size)
    if len(pair) != 2 or not all(isinstance(n, int) and n > 0 for n in pair):
        raise ValueError(
            'output_size must be a positive int or two of them (h, w), got '
            f'{size}'
        )
    return pair


def _is_channels_last(features: Tensor) -> bool:
    return not features.is_contiguous() and features.is_contiguous(
        memory_format=torch.channels_last
    )


def _check(features: Tensor, rois: Tensor, sampling_ratio: int) -> None:
    """Refuse what would give a wrong answer or an unreadable error."""
    if features.dim() != 4 or not features.is_floating_point():
        raise ValueError(
            'features must be float of shape (B, C, H, W), got '
            f'{features.dtype} of {tuple(features.shape)}'
        )
    if 0 in features.shape[1:]:
        raise ValueError(
            f'features of {tuple(features.shape)} have no cell to pool; is '
            'the image smaller than the stride?'
        )
    if rois.dim() != 2 or rois.shape[1] != 5 or not rois.is_floating_point():
        raise ValueError(
            'rois must be float of shape (R, 5): image index, x1, y1, x2, y2; '
            f'got {rois.dtype} of {tuple(rois.shape)}'
        )
    if features.device != rois.device:
        raise ValueError(
            f'features are on {features.device} and rois on {rois.device}; '
            'move one of them'
        )
    if sampling_ratio < 0:
        raise ValueError(
            'sampling_ratio must be 0 (as many samples as cells) or more, got '
            f'{sampling_ratio}'
        )
    if rois.device.type != 'cpu' or is_traced():  # values cost a sync there
        return
    if not rois.isfinite().all():
        bad = int((~rois.isfinite().all(1)).nonzero()[0])
        raise ValueError(f'roi {bad} is not finite: {rois[bad].tolist()}')
    images = len(features)
    outside = (rois[:, 0] < 0) | (rois[:, 0] >= images)
    if outside.any():
        bad = int(outside.nonzero()[0])
        raise IndexError(
            f'roi {bad} is of image {rois[bad, 0]:g}, and features hold '
            f'images 0 to {images - 1}; the first column of rois is the '
            'position of the image in the batch'
        )
