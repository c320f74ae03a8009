"""The one error of everything that reads a data set."""

from typing import ClassVar

from mmps.errors import InputError


class DatasetError(InputError, ValueError):
    """A file of a data set is missing, broken or not what its layout says.

    As every ``InputError`` it can be rebuilt from its message, which a data
    loader does with an error of its workers.
    """

    separator: ClassVar[str] = '; '
