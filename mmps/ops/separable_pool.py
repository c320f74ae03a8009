"""Pool parts of feature maps with one matrix for rows and one for columns.

Symbols used in this file:
    B, C, H, W  images, channels, rows and columns of the feature map
    R           regions, all images together
    h, w        rows and columns of the output

For a region on image b, and each channel,

    output = rows @ features[b] @ cols^T        rows (h, H), cols (w, W)

A region has weights on its own cells only. So regions of one image that lie
near each other are pooled together, from the smallest part of the map that
holds them all, with two matrix products and no copy of the map per region.
"""

import torch
from torch import Tensor

# Memory for one product of ``rows`` with a whole feature map. 8 to 64 MiB
# measured alike on 2 cores, 128 MiB took half as long again.
CHUNK_BYTES = 16 * 2**20


def pool(
    features: Tensor, rows: Tensor, cols: Tensor, image: Tensor
) -> Tensor:
    """Return (R, C, h, w); derivatives of any order reach ``features``.

    Args:
        features: (B, C, H, W).
        rows: (R, h, H) weights, same dtype; no gradient reaches them.
        cols: (R, w, W) weights, likewise.
        image: (R,) long in [0, B).
    """
    if is_traced():
        return _pool_all_images(features, rows, cols, image)
    chunks = _chunks(rows, cols, image, features.shape[1])
    return _Pool.apply(features, rows, cols, chunks)


def is_traced() -> bool:
    """Tell whether a compiler or exporter is watching."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def is_exported() -> bool:
    """Tell whether the program that is traced will run elsewhere."""
    # torch 2.6 has no is_exporting
    exporting = getattr(
        torch.compiler, 'is_exporting', torch.compiler.is_compiling
    )
    return torch.jit.is_tracing() or exporting()


def _chunks(
    rows: Tensor, cols: Tensor, image: Tensor, channels: int
) -> list[tuple]:
    """Group regions of one image that share a part of the feature map.

    Returns:
        Tuples ``(regions, image, row slice, column slice)``: indices of the
        regions, and the part outside of which all their weights are 0.
    """
    part = torch.cat([_extent(rows), _extent(cols)])
    top, bottom, left, right, image = torch.cat([part, image[None]]).cpu()
    order = torch.argsort(left + right, stable=True)
    order = order[torch.argsort(image[order], stable=True)]
    cost = rows.shape[1] * channels * cols.shape[2] * rows.element_size()
    counts = image.unique(return_counts=True)[1].tolist()
    chunks = []
    for same_image in order.split(counts):
        for regions in same_image.split(max(1, CHUNK_BYTES // cost)):
            y = slice(int(top[regions].min()), int(bottom[regions].max()))
            x = slice(int(left[regions].min()), int(right[regions].max()))
            chunk = regions.to(rows.device), int(image[regions[0]]), y, x
            chunks.append(chunk)
    return chunks


def _extent(weights: Tensor) -> Tensor:
    """First cell that has a weight and the one behind the last, (2, R).

    A region without weights gives ``cells, 0``: it widens no slice.
    """
    used = (weights != 0).any(1)
    cell = torch.arange(weights.shape[2], device=weights.device)
    first = torch.where(used, cell, weights.shape[2]).amin(1)
    last = torch.where(used, cell, -1).amax(1)
    return torch.stack([first, last + 1])


class _Pool(torch.autograd.Function):
    """``rows @ features[b] @ cols^T`` chunk by chunk; linear in features."""

    @staticmethod
    def forward(ctx, features, rows, cols, chunks):
        ctx.save_for_backward(rows, cols)
        ctx.chunks, ctx.shape = chunks, features.shape
        size = (features.shape[1], rows.shape[1], cols.shape[1])
        out = features.new_zeros(len(rows), *size)
        for regions, image, y, x in chunks:
            out[regions] = _product(
                features[image, :, y, x],
                rows[regions][:, :, y],
                cols[regions][:, :, x],
            )
        return out

    @staticmethod
    def backward(ctx, grad):
        rows, cols = ctx.saved_tensors
        spread = _Spread.apply(grad, rows, cols, ctx.chunks, ctx.shape)
        return spread, None, None, None


class _Spread(torch.autograd.Function):
    """The transpose of ``_Pool``, (R, C, h, w) to (B, C, H, W)."""

    @staticmethod
    def forward(ctx, grad, rows, cols, chunks, shape):
        ctx.save_for_backward(rows, cols)
        ctx.chunks = chunks
        out = grad.new_zeros(shape)
        for regions, image, y, x in chunks:
            out[image, :, y, x] += _transpose_product(
                grad[regions],
                rows[regions][:, :, y],
                cols[regions][:, :, x],
            )
        return out

    @staticmethod
    def backward(ctx, grad):
        rows, cols = ctx.saved_tensors
        return _Pool.apply(grad, rows, cols, ctx.chunks), *[None] * 4


def _product(features: Tensor, rows: Tensor, cols: Tensor) -> Tensor:
    """(C, H, W) with (R, h, H) and (R, w, W) to (R, C, h, w)."""
    (channels, _, width), (regions, bins, height) = features.shape, rows.shape
    flat = features.transpose(0, 1).reshape(height, channels * width)
    with torch.autocast(features.device.type, enabled=False):
        half = rows.reshape(regions * bins, height) @ flat
        half = half.view(regions, bins * channels, width)
        out = half @ cols.transpose(1, 2)
    return out.view(regions, bins, channels, cols.shape[1]).transpose(1, 2)


def _transpose_product(grad: Tensor, rows: Tensor, cols: Tensor) -> Tensor:
    """(R, C, h, w) with (R, h, H) and (R, w, W) to (C, H, W), summed."""
    regions, channels, bins, _ = grad.shape
    height, width = rows.shape[2], cols.shape[2]
    flat = grad.transpose(1, 2).reshape(regions, bins * channels, -1)
    with torch.autocast(grad.device.type, enabled=False):
        half = (flat @ cols).view(regions * bins, channels * width)
        out = rows.reshape(regions * bins, height).t() @ half
    return out.view(height, channels, width).transpose(0, 1)


def _pool_all_images(
    features: Tensor, rows: Tensor, cols: Tensor, image: Tensor
) -> Tensor:
    """``_Pool`` without choices that depend on values, for tracing.

    Each region is pooled from every image, with weight 0 but for its own.
    """
    out = 0
    for index, one in enumerate(features.unbind()):
        own = (image == index)[:, None, None]
        out = out + _product(one, rows * own, cols)
    return out
