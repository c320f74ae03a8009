"""Knowledge distillation of Munjal, Galasso and Amin, BMVC 2019.

KD_det: a detector teaches the student's detector (``KnowledgeDistiller``).
KD_reid: the student learns against the teacher's lookup table
(``FrozenLUTHook``). Nothing else of mmps knows this folder.
"""

from .distiller_hook import DistillerHook
from .frozen_lut_hook import FrozenLUTHook
from .kd_losses import BoundedBoxLoss, HintLoss, SoftCrossEntropyLoss
from .knowledge_distiller import KnowledgeDistiller
from .lut import IdentityTable, random_table, read_table, write_table
from .mean_table import compute_table, embeddings_of_people
from .teacher import Teacher

__all__ = [
    'BoundedBoxLoss',
    'DistillerHook',
    'FrozenLUTHook',
    'HintLoss',
    'IdentityTable',
    'KnowledgeDistiller',
    'SoftCrossEntropyLoss',
    'Teacher',
    'compute_table',
    'embeddings_of_people',
    'random_table',
    'read_table',
    'write_table',
]
