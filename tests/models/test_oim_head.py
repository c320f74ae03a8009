import pytest
import torch
import torch.nn.functional as F

from mmps.models import OIMHead

LOSS = {'type': 'OIMLoss', 'num_ids': 3, 'queue_size': 2}


def test_embedding_is_the_normalised_linear_map():
    head = OIMHead(in_channels=5, feat_dim=4, loss_oim=LOSS)
    pooled = torch.randn(7, 5)
    raw = pooled @ head.fc.weight.t() + head.fc.bias
    expected = raw / raw.pow(2).sum(dim=1, keepdim=True).sqrt()
    torch.testing.assert_close(head(pooled), expected)


def test_a_norm_layer_takes_off_the_mean_of_the_batch():
    head = OIMHead(5, LOSS, feat_dim=4, norm_cfg=dict(type='BN1d'))
    # in float64: float32 loses two digits when a mean of 10 is taken off
    head = head.double().train()
    pooled = 10 + torch.rand(7, 5, dtype=torch.float64)
    raw = pooled @ head.fc.weight.t() + head.fc.bias
    centred = (raw - raw.mean(0)) / (raw.var(0, correction=0) + 1e-5).sqrt()
    expected = centred / centred.norm(dim=1, keepdim=True)
    torch.testing.assert_close(head(pooled), expected, rtol=0, atol=1e-12)


def test_loss_is_the_loss_of_the_embedding():
    head = OIMHead(in_channels=5, feat_dim=4, loss_oim=LOSS).eval()
    head.loss_oim.table.copy_(F.normalize(torch.randn(3, 4), dim=1))
    pooled, ids = torch.randn(2, 5), torch.tensor([2, -1])
    losses, embeddings = head.loss(pooled, ids)
    assert torch.equal(embeddings, head(pooled))
    value = losses['loss_oim']
    memory = torch.cat([head.loss_oim.table, head.loss_oim.queue])
    logits = memory @ head(pooled)[0] / 0.1
    torch.testing.assert_close(value, -torch.log_softmax(logits, 0)[2])


def test_embedding_is_unit_and_float32_inside_autocast():
    head = OIMHead(in_channels=5, feat_dim=4, loss_oim=LOSS)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        embeddings = head(torch.randn(3, 5).bfloat16())
    assert embeddings.dtype == torch.float32
    assert embeddings.detach().norm(dim=1).tolist() == pytest.approx([1, 1, 1])


def test_weights_start_as_said():
    head = OIMHead(in_channels=500, feat_dim=200, loss_oim=LOSS)
    head.init_weights()
    assert float(head.fc.weight.detach().std()) == pytest.approx(
        0.01, rel=0.05
    )
    assert not head.fc.bias.any()
