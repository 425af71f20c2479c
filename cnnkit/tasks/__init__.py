"""The tasks there are: a folder each (`cnnkit.registry`)."""
