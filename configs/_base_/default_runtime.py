default_scope = 'mmdet'
custom_imports = dict(imports=['mmps'], allow_failed_imports=False)
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='SafeCheckpointHook', interval=1, max_keep_ckpts=2),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    # refuses a checkpoint of another network before anything is loaded
    strict_load=dict(type='StrictLoadHook'),
    # a resumed run equals the unbroken one, whatever the number of workers
    stateless_seed=dict(type='StatelessSeedHook'),
    # checkpoints hold nothing but tensors, numbers and text
    plain_checkpoint=dict(type='PlainCheckpointHook'),
    nonfinite_loss=dict(type='NonFiniteLossHook'),
    # all processes validate and save the same statistics of BatchNorm
    batch_norm=dict(type='AverageBatchNormHook'),
    # row r of the lookup table is person identity_names[r]
    identity_names=dict(type='IdentityNamesHook'),
    # the teacher of model.distiller, where there is one
    distiller=dict(type='DistillerHook'),
)
env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
randomness = dict(seed=0)
vis_backends = [dict(type='SteadyVisBackend')]
visualizer = dict(type='DetLocalVisualizer', vis_backends=vis_backends)
log_processor = dict(type='LogProcessor', window_size=50, by_epoch=True)
log_level = 'INFO'
load_from = None
resume = False
