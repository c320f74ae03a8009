# The same images, seen in pairs that share an identity.
_base_ = './synth_crowded.py'

train_dataloader = dict(
    collate_fn=dict(type='collate_pairs'),
    dataset=dict(
        _delete_=True,
        type='QueryGalleryPairs',
        dataset=_base_.train_dataloader.dataset,
    ),
)
