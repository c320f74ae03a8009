"""What mmengine lacks: safe checkpoints, exact resume, clean process groups.

Importing this package registers the hooks and wrappers, and replaces
mmengine's checkpoint loaders by safe ones (``checkpoint_schemes``).
"""

from . import checkpoint_schemes
from .amp import CPUAmpOptimWrapper, enable_amp
from .atomic import AtomicBackend, write_atomically
from .batch_norm_hook import AverageBatchNormHook
from .checkpoint_hook import SafeCheckpointHook
from .checkpoint_io import load_checkpoint_file
from .download import cache_dir, fetch
from .errors import CheckpointError
from .interruption import Interrupted
from .key_report import KeyReport, check_state_dict, compare_keys
from .launch import finish, launched, prepare_launcher
from .nonfinite_loss_hook import NonFiniteLossHook
from .plain_checkpoint_hook import PlainCheckpointHook
from .resume import newest_valid_checkpoint
from .runner import QuietRunner
from .seed_hook import StatelessSeedHook
from .strict_load_hook import StrictLoadHook
from .train_loop import ResumableTrainLoop
from .unwrapped import unwrapped_model
from .weights import fill_weights, read_weights

__all__ = [
    'AtomicBackend',
    'AverageBatchNormHook',
    'CPUAmpOptimWrapper',
    'CheckpointError',
    'Interrupted',
    'KeyReport',
    'NonFiniteLossHook',
    'PlainCheckpointHook',
    'QuietRunner',
    'ResumableTrainLoop',
    'SafeCheckpointHook',
    'StatelessSeedHook',
    'StrictLoadHook',
    'cache_dir',
    'check_state_dict',
    'checkpoint_schemes',
    'compare_keys',
    'enable_amp',
    'fetch',
    'fill_weights',
    'finish',
    'launched',
    'load_checkpoint_file',
    'newest_valid_checkpoint',
    'prepare_launcher',
    'read_weights',
    'unwrapped_model',
    'write_atomically',
]
