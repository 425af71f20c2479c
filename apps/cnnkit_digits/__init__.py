"""cnnkit digits: recognise handwritten digits, alone or as numbers on a page."""
