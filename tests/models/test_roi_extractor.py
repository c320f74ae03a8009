import torch

from mmps.models import C4RoIExtractor


def test_pools_boxes_in_input_pixels():
    # the map grows by one per cell to the right: an aligned RoI of exactly
    # the cells 2..4 averages to their centres
    ramp = torch.arange(10.0).expand(1, 1, 6, 10)
    extractor = C4RoIExtractor(output_size=2, stride=16, sampling_ratio=2)
    rois = torch.tensor([[0, 2 * 16.0, 16.0, 4 * 16.0, 3 * 16.0]])
    pooled = extractor((ramp,), rois)
    expected = torch.tensor([[2.0, 3.0], [2.0, 3.0]]).view(1, 1, 2, 2)
    torch.testing.assert_close(pooled, expected)


def test_no_roi_gives_no_feature():
    extractor = C4RoIExtractor(output_size=7)
    pooled = extractor((torch.zeros(1, 4, 6, 10),), torch.zeros(0, 5))
    assert pooled.shape == (0, 4, 7, 7)
