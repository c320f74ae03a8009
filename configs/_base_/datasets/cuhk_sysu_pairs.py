# The same images, seen in pairs that share an identity: all ordered pairs.
_base_ = './cuhk_sysu.py'

train_dataloader = dict(
    batch_size=4,
    batch_sampler=None,  # what to group in pairs is not decided
    collate_fn=dict(type='collate_pairs'),
    dataset=dict(
        _delete_=True,
        type='QueryGalleryPairs',
        dataset=_base_.train_dataloader.dataset,
    ),
)
# Each gallery image is run for each query: 290 000 pairs at G100, 20 million
# for all protocols.
test_evaluator = dict(protocols=['G100'])
