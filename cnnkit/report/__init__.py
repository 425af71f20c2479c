"""One self-contained HTML page of a run, and the drawing that every picture of this project shares.

`page.write` makes the page from plain data; an app adds its own `blocks.Section`s to it.
Nothing is imported here: drawing alone must not load the page, and the page must not load Keras.
"""
