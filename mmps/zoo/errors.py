"""The error of the zoo's own files and settings."""

from mmps.errors import InputError


class ZooError(InputError):
    """A metafile, a page with tables or a setting of the zoo is wrong."""
