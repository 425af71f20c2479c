"""Small text classifiers: training, understanding and shipping them. `cnnkit text --help`."""
