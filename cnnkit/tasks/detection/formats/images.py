"""Which image a file of annotations means, where it is not called as the annotation says.

Design choices:
- An image of just that name in one of the usual places always comes first; readers look for it themselves.
- Else one that differs in upper and lower case, in its suffix (a camera's .JPG, a photo that was converted to .png later) or in
  the folders before it (a path of another machine) is taken, if only one does. What was taken for what is kept, to be told.
"""

from collections.abc import Iterable, Sequence

from cnnkit.data.inventory import Entry, entry
from cnnkit.tasks.detection.formats.files import Fault

_JPEG = (".jpg", ".jpeg", ".jpe", ".jfif")


class ImageNames:
    """The images below a folder, to be found by names that are nearly theirs.

    Args:
        files: their paths, with /.
    """

    def __init__(self, files: Iterable[str]):
        self.files = frozenset(files)
        self.taken: dict[str, str] = {}  # what an annotation says -> the image of another name that was taken
        self._stems: dict[str, list[str]] = {}

    def alike(self, name: str, places: Sequence[str], said: str | None = None) -> str | None:
        """Return the image that a name means but for its case, its suffix or its folders; None where there is none.

        Args:
            name: as the annotation has it, with /.
            places: folders in which images are looked for, the likeliest first.
            said: what the annotation says, for people, where that is not `name`.

        Raises:
            Fault: it may be several.
        """
        if not self._stems:
            for file in sorted(self.files):
                self._stems.setdefault(_stem(file), []).append(file)
        found = self._stems.get(_stem(name), [])
        folder = name.rpartition("/")[0]
        for place in places:
            here = _folder(f"{place}/{folder}/x")
            inside = [file for file in found if _folder(file) == here]
            if inside:
                found = inside
                break
        else:
            longest = max((_tail(file, name) for file in found), default=0)
            found = [file for file in found if _tail(file, name) == longest]
        closest = min((_distance(file, name) for file in found), default=0)
        found = [file for file in found if _distance(file, name) == closest]
        if len(found) > 1:
            raise Fault(f"{said or name!r} may be {found[0]} or {found[1]}")
        if found and found[0].rpartition("/")[2] != name.rpartition("/")[2]:
            self.taken[said or name] = found[0]
        return found[0] if found else None

    def entries(self) -> list[Entry]:
        """Return what the inventory is to say of images that were taken for what an annotation names."""
        names = [f"{said} is {file}" for said, file in self.taken.items()]
        return (
            [entry("changed", "images", "that are called otherwise than their annotation says", names)] if names else []
        )


def _stem(file: str) -> str:
    return file.rpartition("/")[2].rpartition(".")[0].casefold() or file.rpartition("/")[2].casefold()


def _suffix(file: str) -> str:
    suffix = file[file.rfind(".") :].casefold()
    return ".jpg" if suffix in _JPEG else suffix


def _folder(file: str) -> str:
    return "/".join(part for part in file.split("/")[:-1] if part not in ("", ".")).casefold()


def _tail(file: str, name: str) -> int:
    """Return how many of the folders right before the file's name are the same."""
    both = zip(reversed(_folder(file).split("/")), reversed(_folder(name).split("/")), strict=False)
    count = 0
    for one, other in both:
        if one != other or not one:
            break
        count += 1
    return count


def _distance(file: str, name: str) -> int:
    """Return 0 for a name that differs in case alone, 1 where the suffix is another."""
    return int(_suffix(file) != _suffix(name))
