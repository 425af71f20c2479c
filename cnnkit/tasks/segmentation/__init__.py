"""Which pixels belong to what."""

NOTICE = "Research software: not a medical device."  # in all that is shown of pictures of the body
