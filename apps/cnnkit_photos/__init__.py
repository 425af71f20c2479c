"""Photos of one's own, told apart by labels of one's own: the standard verbs, for pictures of anything."""
