"""Readers of what is drawn instead of downloaded: slices of phantoms, with masks or with the finding of each, and volumes."""

import numpy as np

from cnnkit.data.reading import Part, Reader, Request
from cnnkit_scans.phantoms import FINDINGS, LABELS, PhantomMasks, Phantoms, PhantomVolumeMasks, PhantomVolumes

_MOST = 100_000
_SEEDS = 2**32 - 1


def _slices(request: Request, aimed: bool) -> Phantoms:
    return Phantoms(
        patients=request.whole("patients", 100, 1, _MOST, request.split),
        slices=request.whole("slices", 4, 1, 100),
        seed=request.whole("seed", 0, 0, _SEEDS, {**request.options, **request.split}),
        aimed=aimed,
    )


def read_phantoms(request: Request) -> Part:
    """Slices with masks, drawn when they are read; the split says of how many patients, and from which seed."""
    slices = _slices(request, aimed=False)
    return Part(slices, np.arange(len(LABELS)), LABELS, groups=slices.groups, more=PhantomMasks(slices))


def read_phantom_lesions(request: Request) -> Part:
    """Slices of which half show a lesion, drawn when they are read; the split says of how many patients, and from which seed."""
    slices = _slices(request, aimed=True)
    return Part(slices, slices.findings(), FINDINGS, groups=slices.groups)


def read_phantom_volumes(request: Request) -> Part:
    """Volumes with masks, drawn when they are read; the split says of how many patients, and from which seed."""
    volumes = PhantomVolumes(
        patients=request.whole("patients", 100, 1, _MOST, request.split),
        seed=request.whole("seed", 0, 0, _SEEDS, {**request.options, **request.split}),
    )
    return Part(volumes, np.arange(len(LABELS)), LABELS, groups=volumes.groups, more=PhantomVolumeMasks(volumes))


PHANTOMS = Reader(
    read_phantoms, "segmentation", keys=frozenset(["patients", "seed"]), options=frozenset(["slices", "seed"])
)
PHANTOM_LESIONS = Reader(
    read_phantom_lesions, "classification", keys=frozenset(["patients", "seed"]), options=frozenset(["slices", "seed"])
)
PHANTOM_VOLUMES = Reader(
    read_phantom_volumes, "segmentation", keys=frozenset(["patients", "seed"]), options=frozenset(["seed"])
)
