"""What mmengine lacks: safe checkpoints, exact resume, clean process groups.

mmengine's checkpoint loaders are replaced by safe ones as soon as they are
there (``checkpoint_schemes``).
"""

from mmps.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    amp='CPUAmpOptimWrapper enable_amp',
    atomic='AtomicBackend write_atomically',
    batch_norm_hook='AverageBatchNormHook',
    checkpoint_hook='SafeCheckpointHook',
    checkpoint_io='load_checkpoint_file',
    download='cache_dir fetch',
    errors='CheckpointError',
    interruption='Interrupted',
    key_report='KeyReport check_state_dict compare_keys',
    launch='finish launched prepare_launcher',
    nonfinite_loss_hook='NonFiniteLossHook',
    plain_checkpoint_hook='PlainCheckpointHook',
    resume='newest_valid_checkpoint',
    runner='QuietRunner',
    seed_hook='StatelessSeedHook',
    strict_load_hook='StrictLoadHook',
    train_loop='ResumableTrainLoop',
    unwrapped='unwrapped_model',
    weights='fill_weights read_weights',
)
