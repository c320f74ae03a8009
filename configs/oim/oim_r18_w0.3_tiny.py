_base_ = './oim_r18_tiny.py'

# lambda_oim of Munjal et al., 2019: weight of the re-identification loss.
model = dict(roi_head=dict(oim_head=dict(loss_oim=dict(loss_weight=0.3))))
