"""OIMNet++, NAE and SeqNet are what their formulas say."""

import pytest
import torch

from tests.models.published_networks import NAMES, expected, network, pictures


def close(found, wanted, atol):
    torch.testing.assert_close(
        found.double(), torch.as_tensor(wanted).double(), rtol=0, atol=atol
    )


@pytest.mark.parametrize('name', NAMES)
def test_people_and_queries_are_those_of_the_formulas(name):
    model = network(name)
    inputs, samples = pictures(model)
    with torch.no_grad():
        found = model.predict(inputs, samples)
    for sample, (people, given) in zip(
        found, expected(name, model, inputs, samples), strict=True
    ):
        boxes, scores, embeddings = people
        instances = sample.pred_instances
        # neither all nor nothing, or thresholds would not be tested
        assert 1 < len(instances) < 12
        # scores and boxes are decided in float32
        close(instances.bboxes, boxes, 1e-3)
        close(instances.scores, scores, 1e-5)
        close(instances.embeddings, embeddings, 1e-4)
        close(sample.gt_instances.embeddings, given, 1e-6)
