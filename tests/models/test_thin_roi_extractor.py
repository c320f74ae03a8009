"""The thin map against its formula and against reducing after pooling."""

import pytest
import torch

from mmps.models import C4RoIExtractor, ThinRoIExtractor

#: Inside a map of 8 x 10 cells of 16 pixels, so that nothing is cut off.
ROIS = torch.tensor(
    [[0, 20.0, 30.0, 90.0, 100.0], [1, 40.0, 24.0, 60.0, 110.0]],
    dtype=torch.float64,
)
BN = dict(type='BN')


def drawn(norm_cfg=None):
    extractor = ThinRoIExtractor(
        6, 3, norm_cfg, output_size=4, sampling_ratio=2
    ).double()
    for parameter in extractor.parameters():
        parameter.data.normal_()
    return extractor


def maps():
    return torch.randn(2, 6, 8, 10, dtype=torch.float64)


def test_pools_the_rectified_products_of_every_cell():
    extractor, feats = drawn(), maps()
    conv = extractor.thin.conv
    thin = torch.zeros(2, 3, 8, 10, dtype=torch.float64)
    for i in range(3):
        for k in range(6):
            thin[:, i] += conv.weight[i, k, 0, 0].detach() * feats[:, k]
        thin[:, i] += conv.bias[i].detach()
    pool = C4RoIExtractor(4, sampling_ratio=2)
    expected = pool((thin.clamp(min=0),), ROIS)
    assert (thin < 0).any()
    assert (thin > 0).any()
    torch.testing.assert_close(extractor((feats,), ROIS), expected)


def test_where_nothing_is_rectified_channels_may_be_reduced_after_pooling():
    extractor, feats = drawn(), maps().abs()
    for parameter in extractor.parameters():
        parameter.data.abs_()
    pooled = C4RoIExtractor(4, sampling_ratio=2)((feats,), ROIS)
    torch.testing.assert_close(
        extractor((feats,), ROIS), extractor.thin.conv(pooled)
    )


@pytest.mark.parametrize('norm_cfg', [None, BN])
def test_map_and_weights_get_gradients(norm_cfg):
    extractor, feats = drawn(norm_cfg), maps().requires_grad_()
    out = extractor((feats,), ROIS)
    (out * torch.randn_like(out)).sum().backward()
    assert feats.grad.any()
    names = dict(extractor.named_parameters())
    # the bias of the convolution, or of the normalisation in its place
    assert len(names) == (2 if norm_cfg is None else 3)
    for name, parameter in names.items():
        assert parameter.grad.any(), name


def test_no_roi_gives_no_feature():
    none = torch.zeros(0, 5, dtype=torch.float64)
    assert drawn()((maps(),), none).shape == (0, 3, 4, 4)
