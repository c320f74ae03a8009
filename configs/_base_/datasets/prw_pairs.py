# The same images, seen in pairs that share an identity: for each person of
# each frame up to three other frames, not all of them.
_base_ = './prw.py'

train_dataloader = dict(
    batch_size=2,
    collate_fn=dict(type='collate_pairs'),
    dataset=dict(
        _delete_=True,
        type='QueryGalleryPairs',
        rule='capped',
        dataset=_base_.train_dataloader.dataset,
    ),
)
# Each gallery image is run for each query: 183 330 pairs for PRW-mini, 12.6
# million for the regular protocol.
test_evaluator = dict(protocols=['mini'])
