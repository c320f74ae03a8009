"""Synthetic person search data in the layouts of CUHK-SYSU and PRW."""

from .generate import LAYOUTS, SIZES, ExistsError, generate
from .knobs import SCENES, Knobs

__all__ = ['LAYOUTS', 'SCENES', 'SIZES', 'ExistsError', 'Knobs', 'generate']
