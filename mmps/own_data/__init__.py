"""Own data: from pictures and boxes to a data set and a config.

Readers of what annotation tools and trackers write (``coco``, ``mot``,
``cvat``) return scenes; ``split`` parts them into training and test, ``write``
makes the folder that ``CocoPersonDataset`` reads, ``advice`` chooses what a
config needs to know of it, ``config_text`` writes that config.
"""
