"""What mmengine lacks: exact resume, clean ends, mixed precision on a CPU.

Names of ``mmps.checkpoints`` that stood here remain.
"""

from mmps.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    amp='CPUAmpOptimWrapper enable_amp',
    batch_norm_hook='AverageBatchNormHook',
    checkpoint_hook='SafeCheckpointHook',
    interruption='Interrupted',
    launch='finish launched prepare_launcher',
    nonfinite_loss_hook='NonFiniteLossHook',
    plain_checkpoint_hook='PlainCheckpointHook',
    runner='QuietRunner',
    seed_hook='StatelessSeedHook',
    strict_load_hook='StrictLoadHook',
    train_loop='ResumableTrainLoop',
    unwrapped='unwrapped_model',
    vis_backend='SteadyVisBackend',
    **{
        'mmps.checkpoints': 'AtomicBackend CheckpointError KeyReport '
        'cache_dir check_state_dict compare_keys fetch fill_weights '
        'load_checkpoint_file newest_valid_checkpoint read_weights '
        'write_atomically'
    },
)
