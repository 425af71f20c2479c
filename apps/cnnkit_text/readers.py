"""The reader of texts that need no download: docstrings of installed packages."""

from cnnkit.data.reading import Part, Reader, Request
from cnnkit.inputs.text.readers import part_of
from cnnkit_text import docstrings


def read_docstrings(request: Request) -> Part:
    """Docstrings of installed packages; the option `most` is how many of each."""
    most = request.whole("most", docstrings.MOST, 10, 100_000)
    return part_of(docstrings.read(most, progress=request.progress))


DOCSTRINGS = Reader(read_docstrings, "text", options=frozenset(["most"]))
