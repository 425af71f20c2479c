"""Traffic signs: recognise which sign a picture shows."""
