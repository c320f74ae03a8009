"""Knowledge distillation of Munjal, Galasso and Amin, BMVC 2019.

KD_det: a detector teaches the student's detector (``KnowledgeDistiller``).
KD_reid: the student learns against the teacher's lookup table
(``FrozenLUTHook``). Nothing else of mmps knows this folder.
"""

from mmps.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    distiller_hook='DistillerHook',
    frozen_lut_hook='FrozenLUTHook',
    identity_table='IdentityTable complete_table compute_table '
    'embeddings_of_people random_table read_table write_table',
    kd_losses='BoundedBoxLoss EmbeddingLoss HintLoss RelationLoss '
    'SoftCrossEntropyLoss',
    knowledge_distiller='KnowledgeDistiller',
    teacher='Teacher',
)
