"""`python -m bigml` is the `bigml` command."""

from __future__ import annotations

from bigml.cli import main

if __name__ == "__main__":
    main()
