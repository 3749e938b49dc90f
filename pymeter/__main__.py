"""``python -m pymeter`` is the command line too."""

from __future__ import annotations

from pymeter.cli import main

if __name__ == "__main__":
    main()
