"""How files and folders say which mask belongs to which picture, and what its values mean."""
