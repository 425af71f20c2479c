"""What libraries write past Python is dropped, or kept for who asks."""

import os
import sys

from cnnkit.quiet import heard, quiet


def test_what_is_heard_is_kept_in_lines_and_shown_nowhere(capfd):
    with heard() as said:
        sys.stdout.write("of Python\n")
        os.write(2, "of C, é\nand more\n".encode())
        assert said == []
    assert sorted(said) == ["and more", "of C, é", "of Python"]
    sys.stderr.write("afterwards\n")
    assert capfd.readouterr() == ("", "afterwards\n")


def test_quiet_drops_it(capfd):
    with quiet():
        sys.stdout.write("of Python\n")
        os.write(1, b"of C")
    sys.stdout.write("afterwards\n")
    assert capfd.readouterr() == ("afterwards\n", "")
