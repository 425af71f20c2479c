"""What comes out of a model: tasks, and how they are scored."""
