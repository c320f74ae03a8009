"""torchvision and compiled mmcv, as slow loops with their interfaces.

They are as strict as the originals (dtypes, no empty launch, memory taken for
NCHW), so that a call which passes here follows the conventions there. mmcv's
Python is the real one: only ``mmcv._ext`` is replaced.
"""

import sys
from types import ModuleType

import torch
from torch.autograd import Function

from tests.ops.loops import (
    nms_by_loops,
    roi_align_by_loops,
    roi_align_gradient_by_loops,
)


def install_torchvision(monkeypatch):
    """Make ``import torchvision`` find the stand-in; return its ``ops``."""
    package, ops = ModuleType('torchvision'), ModuleType('torchvision.ops')
    package.__version__, package.ops = '0.0+loops', ops

    def nms(boxes, scores, iou_threshold):
        if boxes.dtype != scores.dtype or boxes.dtype == torch.half:
            raise RuntimeError(f'nms of {boxes.dtype} and {scores.dtype}')
        kept = nms_by_loops(boxes.numpy(), scores.numpy(), iou_threshold)
        return torch.tensor(kept, dtype=torch.long)

    def roi_align(
        input,
        boxes,
        output_size,
        spatial_scale=1.0,
        sampling_ratio=-1,
        aligned=False,
    ):
        if input.dtype != boxes.dtype:
            raise RuntimeError(f'{input.dtype} and {boxes.dtype}')
        return _TorchvisionRoIAlign.apply(
            input,
            boxes,
            output_size,
            spatial_scale,
            max(0, sampling_ratio),
            aligned,
        )

    ops.nms, ops.roi_align = nms, roi_align
    monkeypatch.setitem(sys.modules, 'torchvision', package)
    monkeypatch.setitem(sys.modules, 'torchvision.ops', ops)
    return ops


class _TorchvisionRoIAlign(Function):
    @staticmethod
    def forward(ctx, features, rois, *args):
        ctx.shape, ctx.rois, ctx.args = features.shape, _array(rois), args
        out = roi_align_by_loops(_array(features), ctx.rois, *args)
        return torch.from_numpy(out).to(features)

    @staticmethod
    def backward(ctx, grad):
        spread = roi_align_gradient_by_loops(
            _array(grad), ctx.shape, ctx.rois, *ctx.args
        )
        return torch.from_numpy(spread).to(grad), *[None] * 5


def install_compiled_mmcv(monkeypatch):
    """Give mmcv's Python a ``mmcv._ext``; return it."""
    ext = ModuleType('mmcv._ext')
    ext.nms = _mmcv_nms
    ext.roi_align_forward = _mmcv_roi_align_forward
    ext.roi_align_backward = _mmcv_roi_align_backward
    monkeypatch.setitem(sys.modules, 'mmcv._ext', ext)
    for name in ('mmcv.ops.nms', 'mmcv.ops.roi_align'):
        monkeypatch.setattr(sys.modules[name], 'ext_module', ext)
    return ext


def _mmcv_nms(boxes, scores, iou_threshold, offset):
    if not boxes.dtype == torch.float32:
        raise RuntimeError(f'expected scalar type Float, found {boxes.dtype}')
    # its sort may return equal scores in any order: here the last first
    kept = nms_by_loops(
        _raw(boxes)[::-1], _raw(scores)[::-1], iou_threshold, offset
    )
    return torch.tensor(kept, dtype=torch.long).mul(-1).add(len(boxes) - 1)


def _mmcv_roi_align_forward(
    input,
    rois,
    output,
    argmax_y,
    argmax_x,
    aligned_height,
    aligned_width,
    spatial_scale,
    sampling_ratio,
    pool_mode,
    aligned,
):
    if not output.numel():
        raise RuntimeError('CUDA error: invalid configuration argument')
    if input.dtype != rois.dtype or pool_mode != 1:
        raise RuntimeError(f'{input.dtype}, {rois.dtype}, mode {pool_mode}')
    size = aligned_height, aligned_width
    output.copy_(
        torch.from_numpy(
            roi_align_by_loops(
                *(_raw(input), _raw(rois), size),
                *(spatial_scale, sampling_ratio, aligned),
            )
        )
    )


def _mmcv_roi_align_backward(
    grad_output,
    rois,
    argmax_y,
    argmax_x,
    grad_input,
    aligned_height,
    aligned_width,
    spatial_scale,
    sampling_ratio,
    pool_mode,
    aligned,
):
    size = aligned_height, aligned_width
    spread = roi_align_gradient_by_loops(
        *(_raw(grad_output), grad_input.shape, _raw(rois), size),
        *(spatial_scale, sampling_ratio, aligned),
    )
    grad_input.copy_(torch.from_numpy(spread))


def _array(tensor):
    return tensor.detach().numpy()


def _raw(tensor):
    """Read memory as a kernel with ``data_ptr`` does, not minding strides."""
    strides = torch.empty(tensor.shape, device='meta').stride()
    return _array(tensor.as_strided(tensor.shape, strides))
