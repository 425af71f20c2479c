"""Numbers of a picture: one, such as an angle, or several."""
