# SeqNet on PRW, ResNet-50.
_base_ = [
    '../_base_/models/seqnet_r50.py',
    '../_base_/datasets/prw.py',
    '../_base_/schedules/epochs_18.py',
    '../_base_/default_runtime.py',
]

model = dict(
    roi_head=dict(oim_head=dict(loss_oim=dict(num_ids=483, queue_size=500)))
)
