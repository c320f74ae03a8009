"""Counts of the real data sets, as their archives have them."""

#: Counts by layout. "positives" add up the gallery images, over all queries
#: of a protocol, that show the person.
PUBLISHED = {
    'cuhk-sysu': {
        'images/train': 11206,
        'images/test': 6978,
        'boxes/train': 55272,
        'boxes/test': 40871,
        'labelled/train': 15085,
        'labelled/test': 8345,
        'unlabelled/train': 40187,
        'unlabelled/test': 32526,
        'identities/train': 5532,
        'identities/test': 2900,
        'images without identity/train': 1490,
        'queries': 2900,
        'query images': 2725,
        'positives/G100': 5447,
    },
    'prw': {
        'images/train': 5704,
        'images/test': 6112,
        'boxes/train': 18048,
        'boxes/test': 25062,
        'labelled/train': 14907,
        'labelled/test': 19127,
        'unlabelled/train': 3141,
        'unlabelled/test': 5935,
        'identities/train': 483,
        'identities/test': 450,
        'images without identity/train': 40,
        'images without identity/test': 46,
        'queries': 2057,
        'queries/mini': 30,
        'positives/regular': 77122,
        'positives/cross-camera': 62835,
    },
    'coco-person': {},
}
